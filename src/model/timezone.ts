/**
 * Time zones: offsets of IANA zones, fixed offsets and POSIX strings, and the abbreviations PostgreSQL knows.
 *
 * The IANA data come from Intl (ICU); each zone's transitions are found once per year by bisection and kept, so that
 * a conversion costs a map look-up, not a call into ICU.
 *
 * Invariants: offsets are seconds EAST of UTC; times are seconds since 2000-01-01. Years outside 1800..2436 are mapped
 * into that range (before: the zone's first offset; after: the Gregorian calendar repeats every 400 years), which
 * bounds the cache.
 */

const secondsPerDay = 86400;
const firstYear = 1800;
const lastYear = 2436;
/** 1970-01-01 to 2000-01-01. */
const unixEpochOffset = 946684800;

export interface TimeZone {
  /** As shown by SHOW timezone. */
  readonly name: string;
  /** Offset in force at an instant (seconds since 2000-01-01 UTC). */
  offsetAt(utcSeconds: number): number;
  /**
   * Offset for a wall-clock time. In a gap the offset before it; when the time occurs twice, the later (standard) one:
   * PostgreSQL's choices.
   */
  offsetAtLocal(localSeconds: number): number;
  abbreviationAt(utcSeconds: number): string;
}

/** Days from 2000-01-01 to 1 January of an astronomical year. */
function daysToYear(year: number): number {
  const y = year - 1;
  return 365 * (year - 2000) + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) - 484;
}

function yearOf(seconds: number): number {
  let year = 2000 + Math.floor(seconds / (365.2425 * secondsPerDay));
  while (daysToYear(year) * secondsPerDay > seconds) year--;
  while (daysToYear(year + 1) * secondsPerDay <= seconds) year++;
  return year;
}

class FixedZone implements TimeZone {
  constructor(
    readonly name: string,
    private readonly offset: number,
    private readonly abbreviation: string,
  ) {}
  offsetAt(): number {
    return this.offset;
  }
  offsetAtLocal(): number {
    return this.offset;
  }
  abbreviationAt(): string {
    return this.abbreviation;
  }
}

/** One UTC year of a zone: `starts[i]` is when `offsets[i]` begins; starts[0] is the year's beginning. */
interface ZoneYear {
  readonly starts: readonly number[];
  readonly offsets: readonly number[];
}

/** Zones for which ICU's English has no letters, with what the tz database calls them: standard, daylight. */
const zoneLetters: readonly (readonly [prefix: string, standard: string, daylight: string, base: number])[] =
  [
    ["Europe/London", "GMT", "BST", 0],
    ["Europe/Dublin", "GMT", "IST", 0],
    ["Europe/Lisbon", "WET", "WEST", 0],
    ["Europe/Moscow", "MSK", "MSD", 10800],
    ["Asia/Tokyo", "JST", "JDT", 32400],
    ["Asia/Seoul", "KST", "KDT", 32400],
    ["Asia/Shanghai", "CST", "CDT", 28800],
    ["Asia/Hong_Kong", "HKT", "HKST", 28800],
    ["Asia/Kolkata", "IST", "IST", 19800],
    ["Asia/Karachi", "PKT", "PKST", 18000],
    ["Asia/Jerusalem", "IST", "IDT", 7200],
    ["Australia/Sydney", "AEST", "AEDT", 36000],
    ["Australia/Melbourne", "AEST", "AEDT", 36000],
    ["Australia/Hobart", "AEST", "AEDT", 36000],
    ["Australia/Brisbane", "AEST", "AEDT", 36000],
    ["Australia/Adelaide", "ACST", "ACDT", 34200],
    ["Australia/Darwin", "ACST", "ACDT", 34200],
    ["Australia/Perth", "AWST", "AWDT", 28800],
    ["Pacific/Auckland", "NZST", "NZDT", 43200],
    ["Africa/Johannesburg", "SAST", "SAST", 7200],
    ["Africa/Nairobi", "EAT", "EAT", 10800],
    ["Africa/Lagos", "WAT", "WAT", 3600],
    ["Europe/", "CET", "CEST", 3600],
    ["Europe/", "EET", "EEST", 7200],
    ["Asia/", "EET", "EEST", 7200],
  ];

class IanaZone implements TimeZone {
  private readonly years = new Map<number, ZoneYear>();
  constructor(
    readonly name: string,
    private readonly wallClock: Intl.DateTimeFormat,
    private readonly shortName: Intl.DateTimeFormat,
  ) {}

  /** Asks ICU. `seconds` lies in the years firstYear..lastYear + 1. */
  private probe(seconds: number): number {
    const text = this.wallClock.format((seconds + unixEpochOffset) * 1000);
    // MM/DD/YYYY, HH:MM:SS
    const month = Number(text.slice(0, 2));
    const day = Number(text.slice(3, 5));
    const year = Number(text.slice(6, 10));
    const time =
      Number(text.slice(12, 14)) * 3600 + Number(text.slice(15, 17)) * 60 + Number(text.slice(18, 20));
    return (daysToYear(year) + dayOfYear(year, month, day)) * secondsPerDay + time - seconds;
  }

  private yearInfo(year: number): ZoneYear {
    const known = this.years.get(year);
    if (known !== undefined) return known;
    const begin = daysToYear(year) * secondsPerDay;
    const end = daysToYear(year + 1) * secondsPerDay;
    const starts = [begin];
    const offsets = [this.probe(begin)];
    const step = Math.ceil((end - begin) / 36);
    for (let low = begin; low < end; ) {
      const high = Math.min(low + step, end - 1);
      const after = this.probe(high);
      if (after !== offsets[offsets.length - 1]) {
        let before = low;
        let at = high;
        while (at - before > 1) {
          const middle = Math.floor((before + at) / 2);
          if (this.probe(middle) === offsets[offsets.length - 1]) before = middle;
          else at = middle;
        }
        starts.push(at);
        offsets.push(this.probe(at));
        low = at;
      } else low = high + 1 > end - 1 ? end : high;
    }
    const info = { starts, offsets };
    this.years.set(year, info);
    return info;
  }

  /** Moves an instant into the years the cache covers. */
  private fold(seconds: number): number {
    const year = yearOf(seconds);
    if (year < firstYear) return daysToYear(firstYear) * secondsPerDay;
    if (year <= lastYear) return seconds;
    const cycles = Math.ceil((year - lastYear) / 400);
    return seconds - cycles * 146097 * secondsPerDay;
  }

  offsetAt(utcSeconds: number): number {
    const seconds = this.fold(utcSeconds);
    const info = this.yearInfo(yearOf(seconds));
    let at = info.starts.length - 1;
    while (at > 0 && info.starts[at]! > seconds) at--;
    return info.offsets[at]!;
  }

  offsetAtLocal(localSeconds: number): number {
    // No zone is a day away from UTC, and none changes twice within two days.
    const before = this.offsetAt(localSeconds - secondsPerDay);
    const after = this.offsetAt(localSeconds + secondsPerDay);
    if (before === after) return before;
    const beforeHolds = this.offsetAt(localSeconds - before) === before;
    const afterHolds = this.offsetAt(localSeconds - after) === after;
    if (beforeHolds !== afterHolds) return beforeHolds ? before : after;
    return beforeHolds ? after : before;
  }

  abbreviationAt(utcSeconds: number): string {
    const seconds = this.fold(utcSeconds);
    const parts = this.shortName.formatToParts((seconds + unixEpochOffset) * 1000);
    const name = parts.find((part) => part.type === "timeZoneName")?.value ?? this.name;
    if (name === "UTC" || !/^GMT[+-]|^[A-Z]{1,2}T?[+-]/.test(name)) {
      if (name !== "GMT" || !this.name.startsWith("Europe/") || this.offsetAt(seconds) === 0) return name;
    }
    const offset = this.offsetAt(seconds);
    for (const [prefix, standard, daylight, base] of zoneLetters) {
      if (!(prefix.endsWith("/") ? this.name.startsWith(prefix) : this.name === prefix)) continue;
      const winter = Math.min(
        this.offsetAt(yearStart(seconds)),
        this.offsetAt(yearStart(seconds) + 182 * secondsPerDay),
      );
      if (winter !== base) continue;
      if (offset === base) return standard;
      if (offset === base + 3600) return daylight;
    }
    return numericOffset(offset);
  }
}

function yearStart(seconds: number): number {
  return daysToYear(yearOf(seconds)) * secondsPerDay;
}

/** The tz database's name for a zone without letters: +05, +0530. */
function numericOffset(offset: number): string {
  const magnitude = Math.abs(offset);
  const hours = String(Math.floor(magnitude / 3600)).padStart(2, "0");
  const minutes = Math.floor((magnitude % 3600) / 60);
  return `${offset < 0 ? "-" : "+"}${hours}${minutes === 0 ? "" : String(minutes).padStart(2, "0")}`;
}

const cumulativeDays = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

function dayOfYear(year: number, month: number, day: number): number {
  const leap = month > 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0;
  return cumulativeDays[month - 1]! + leap + day - 1;
}

/** Abbreviations of PostgreSQL's default set, minutes east of UTC. */
const abbreviations: Readonly<Record<string, number>> = {
  acdt: 630,
  acst: 570,
  acwst: 525,
  adt: -180,
  aedt: 660,
  aest: 600,
  aft: 270,
  akdt: -480,
  akst: -540,
  almt: 360,
  amst: 300,
  amt: -240,
  anast: 720,
  anat: 720,
  arst: -180,
  art: -180,
  ast: -240,
  awsst: 540,
  awst: 480,
  azost: 0,
  azot: -60,
  azst: 240,
  azt: 240,
  bdst: 120,
  bdt: 360,
  bnt: 480,
  bort: 480,
  bot: -240,
  bra: -180,
  brst: -120,
  brt: -180,
  bst: 60,
  btt: 360,
  cadt: 630,
  cast: 570,
  cct: 480,
  cdt: -300,
  cest: 120,
  cet: 60,
  cetdst: 120,
  chadt: 825,
  chast: 765,
  chut: 600,
  ckt: -600,
  clst: -180,
  clt: -240,
  cot: -300,
  cst: -360,
  cxt: 420,
  davt: 420,
  ddut: 600,
  easst: -360,
  east: -360,
  eat: 180,
  edt: -240,
  eest: 180,
  eet: 120,
  eetdst: 180,
  egst: 0,
  egt: -60,
  est: -300,
  fet: 180,
  fjst: 780,
  fjt: 720,
  fkst: -180,
  fkt: -180,
  fnst: -60,
  fnt: -120,
  galt: -360,
  gamt: -540,
  get: 240,
  gft: -180,
  gilt: 720,
  gmt: 0,
  gyt: -240,
  hkt: 480,
  hst: -600,
  ict: 420,
  idt: 180,
  iot: 360,
  irkst: 480,
  irkt: 480,
  irt: 210,
  ist: 120,
  jayt: 540,
  jst: 540,
  kdt: 600,
  kgst: 360,
  kgt: 360,
  kost: 660,
  krast: 420,
  krat: 420,
  kst: 540,
  lhdt: 660,
  lhst: 630,
  ligt: 600,
  lint: 840,
  magst: 720,
  magt: 660,
  mart: -570,
  mawt: 300,
  mdt: -360,
  mest: 120,
  mesz: 120,
  met: 60,
  metdst: 120,
  mez: 60,
  mht: 720,
  mmt: 390,
  mpt: 600,
  msd: 240,
  msk: 180,
  mst: -420,
  must: 300,
  mut: 240,
  mvt: 300,
  myt: 480,
  ndt: -150,
  nft: -150,
  novst: 420,
  novt: 420,
  npt: 345,
  nst: -210,
  nut: -660,
  nzdt: 780,
  nzst: 720,
  nzt: 720,
  omsst: 360,
  omst: 360,
  pdt: -420,
  pet: -300,
  petst: 720,
  pett: 720,
  pgt: 600,
  phot: 780,
  pht: 480,
  pkst: 360,
  pkt: 300,
  pmdt: -120,
  pmst: -180,
  pont: 660,
  pst: -480,
  pwt: 540,
  pyst: -180,
  pyt: -180,
  ret: 240,
  sadt: 630,
  sast: 120,
  sct: 240,
  sgt: 480,
  taht: -600,
  tft: 300,
  tjt: 300,
  tkt: 780,
  tmt: 300,
  tot: 780,
  truk: 600,
  tvt: 720,
  uct: 0,
  ulast: 540,
  ulat: 480,
  ut: 0,
  utc: 0,
  uyst: -120,
  uyt: -180,
  uzst: 360,
  uzt: 300,
  vet: -240,
  vlast: 600,
  vlat: 600,
  volt: 180,
  vut: 660,
  wadt: 480,
  wakt: 720,
  wast: 120,
  wat: 60,
  wdt: 540,
  west: 60,
  wet: 0,
  wetdst: 60,
  wft: 720,
  wgst: -60,
  wgt: -120,
  xjt: 360,
  yakst: 540,
  yakt: 540,
  yapt: 600,
  yekst: 360,
  yekt: 300,
  z: 0,
  zulu: 0,
};

/** Seconds east of UTC of an abbreviation such as EST or CEST; undefined when it is none. */
export function abbreviationOffset(word: string): number | undefined {
  const key = word.toLowerCase();
  return Object.hasOwn(abbreviations, key) ? abbreviations[key]! * 60 : undefined;
}

const ianaName = /^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/;
/** POSIX: <name>offset or NAMEoffset, offset west positive; daylight rules are not accepted here. */
const posixZone =
  /^(?:<([A-Za-z0-9+-]+)>|([A-Za-z]{3,}))([+-]?[0-9]{1,3})(?::([0-9]{1,2}))?(?::([0-9]{1,2}))?$/;
const cache = new Map<string, TimeZone>();

export const utcZone: TimeZone = new FixedZone("UTC", 0, "UTC");
cache.set("utc", utcZone);
cache.set("gmt", new FixedZone("GMT", 0, "GMT"));
cache.set("etc/utc", new FixedZone("Etc/UTC", 0, "UTC"));

/**
 * The zone of a name as SET TIME ZONE takes it: IANA (any case), or POSIX such as <+03>-03. Undefined when unknown.
 * Memory: at most one entry per IANA zone and a bounded number of POSIX strings.
 */
export function timeZoneOf(name: string): TimeZone | undefined {
  const key = name.toLowerCase();
  const known = cache.get(key);
  if (known !== undefined) return known;
  const posix = posixZone.exec(name);
  if (posix !== null) {
    const sign = posix[3]!.startsWith("-") ? -1 : 1;
    const hours = Math.abs(Number(posix[3]));
    if (hours > 167) return undefined;
    const west = sign * (hours * 3600 + Number(posix[4] ?? 0) * 60 + Number(posix[5] ?? 0));
    return new FixedZone(name, -west + 0, posix[1] ?? posix[2]!);
  }
  if (name.length > 64 || !ianaName.test(name)) return undefined;
  const zone = openIana(name);
  if (zone !== undefined) cache.set(key, zone);
  return zone;
}

function openIana(name: string): TimeZone | undefined {
  const wallClock: Intl.DateTimeFormatOptions = {
    timeZone: name,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  };
  try {
    return new IanaZone(
      spelled(name),
      new Intl.DateTimeFormat("en-US", wallClock),
      new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "short" }),
    );
  } catch (error) {
    if (error instanceof RangeError) return undefined; // Intl's way of saying: no such zone
    throw error;
  }
}

/** Zone names are matched in any case and shown in their own. */
function spelled(name: string): string {
  const lower = name.toLowerCase();
  for (const zone of Intl.supportedValuesOf("timeZone")) if (zone.toLowerCase() === lower) return zone;
  return name;
}

/** All zone names, for pg_timezone_names. */
export function timeZoneNames(): readonly string[] {
  return [...Intl.supportedValuesOf("timeZone"), "UTC"];
}

/** Abbreviations with their offsets, for pg_timezone_abbrevs. */
export function timeZoneAbbreviations(): readonly (readonly [abbreviation: string, secondsEast: number])[] {
  return Object.entries(abbreviations).map(([name, minutes]) => [name.toUpperCase(), minutes * 60] as const);
}
