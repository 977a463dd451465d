/**
 * Rows of the `sys` views over members, settings and epochs (spec/15, spec/10), by the relation's name. Everybody may read
 * them: they show addresses, fingerprints and hashes, and never a key or a token.
 */
import type { EpochRecord, Member, Rotation } from "../../cluster/contract.js";
import { convergence, roleNames, versionText } from "../../cluster/index.js";
import { clusterSettings, durationMs, plainSetting } from "../../cluster/settings.js";
import { canonicalJsonb } from "../../model/json.js";
import { oids } from "../../model/types.js";
import { PgArray, type Value } from "../../model/value.js";
import { postgresEpochMs } from "../eval-context.js";
import type { Provider, ViewContext } from "./context.js";
import type { CatalogRow } from "./registry.js";

/** An answer that takes longer is slow (OBS-24). */
const slowMs = 1000;

/** As a timestamptz. */
const time = (ms: number | undefined): number | null =>
  ms === undefined ? null : Math.round((ms - postgresEpochMs) * 1000);
const texts = (values: readonly string[]): PgArray => PgArray.of(oids.text, values);

/** The epoch a node is known to have; null: it was not heard of. */
function epochOf({ cluster }: ViewContext, node: string): number | null {
  const { view, status } = cluster;
  if (node === status.node) return view.epochs.at(-1)?.epoch.number ?? null;
  return status.peers.find((one) => one.node === node)?.epoch || null;
}

function* nodes(context: ViewContext): Iterable<CatalogRow> {
  const { view, status } = context.cluster;
  for (const member of view.members.values()) {
    const peer = status.peers.find((one) => one.node === member.uuid);
    yield {
      node_uuid: member.uuid,
      node_name: member.name,
      addresses: texts([member.addresses.control, member.addresses.rpc, member.addresses.pg]),
      roles: texts(roleNames(member.roles)),
      state: member.state,
      epoch: epochOf(context, member.uuid),
      cert_fingerprint: member.certFingerprint,
      version: versionText(member.version),
      joined_at: time(member.joinedAt),
      last_seen_at: member.uuid === status.node ? context.now : time(peer?.lastSeenAt),
      state_change_reason: member.stateReason,
      is_leader: member.uuid === status.leader,
    };
  }
}

/** Where a node stands with the newest epoch. */
function convergenceStatus(
  context: ViewContext,
  latest: EpochRecord,
  { uuid, state }: Member,
  missing: ReadonlyMap<string, string>,
): string {
  const known = epochOf(context, uuid);
  if (state === "ENABLED" && latest.state === "CONVERGING")
    return missing.has(uuid) ? "CONVERGING" : "CONVERGED";
  if (known === null) return "UNKNOWN";
  return known >= latest.epoch.number ? "CONVERGED" : "BEHIND";
}

/** Its own, and that of its Postgres port. */
const isNodes = (kind: string): boolean => kind === "node" || kind === "server";

const eventDetail = (fields: Readonly<Record<string, string>>): string =>
  canonicalJsonb(JSON.stringify(fields));

export const clusterProviders: Readonly<Record<string, Provider>> = {
  nodes,
  cluster_members: nodes,
  *epochs({ cluster }): Iterable<CatalogRow> {
    for (const { epoch, hash, state, effectiveAt, by } of cluster.view.epochs) {
      yield {
        epoch_number: epoch.number,
        state,
        hash,
        previous_hash: epoch.previousHash,
        created_at: time(epoch.createdAt),
        published_at: time(epoch.publishedAt),
        effective_at: time(effectiveAt),
        // Who asked for it, and who signed.
        administrators: texts([by, ...epoch.administrators]),
        description: epoch.description,
      };
    }
  },
  *epoch_convergence(context): Iterable<CatalogRow> {
    const { view } = context.cluster;
    const latest = view.epochs.at(-1);
    if (latest === undefined) return;
    const members = [...view.members.values()].filter((one) => one.state !== "REMOVED");
    const enabled = members.filter((one) => one.state === "ENABLED").map((one) => one.uuid);
    const { missing } = convergence(latest.epoch.number, enabled, view.attestations);
    for (const member of members) {
      const version = epochOf(context, member.uuid);
      const word = view.attestations.get(member.uuid);
      yield {
        node_uuid: member.uuid,
        version,
        hash: version === null ? null : (view.epochs[version - 1]?.hash ?? null),
        applied_at: word?.epoch === latest.epoch.number ? time(word.activatedAt) : null,
        status: convergenceStatus(context, latest, member, missing),
      };
    }
  },
  *certificates({ cluster, now }): Iterable<CatalogRow> {
    const { view } = cluster;
    const trusted = new Set(view.authorities.map((one) => one.fingerprint));
    for (const one of view.certificates.values()) {
      const end = time(one.notAfter)!;
      yield {
        serial: one.serial,
        kind: one.kind,
        subject: isNodes(one.kind) ? (view.members.get(one.subject)?.name ?? one.subject) : one.subject,
        node_uuid: isNodes(one.kind) ? one.subject : null,
        fingerprint: one.fingerprint,
        issuer: one.issuer,
        not_before: time(one.notBefore),
        not_after: end,
        issued_at: time(one.issuedAt),
        issued_by: one.by,
        status: !trusted.has(one.issuer)
          ? "UNTRUSTED_CA"
          : view.revocations(one.issuer)?.revoked.has(one.serial) === true
            ? "REVOKED"
            : end < now
              ? "EXPIRED"
              : "ACTIVE",
      };
    }
  },
  *crl({ cluster: { view } }): Iterable<CatalogRow> {
    for (const { fingerprint } of view.authorities) {
      const list = view.revocations(fingerprint);
      for (const [serial, { revokedAt, reason }] of list?.revoked ?? [])
        yield { issuer: fingerprint, crl_number: list!.number, serial, revoked_at: time(revokedAt), reason };
    }
  },
  *certificate_authorities({ cluster: { view }, now }): Iterable<CatalogRow> {
    for (const one of view.authorities) {
      const list = view.revocations(one.fingerprint);
      const until = time(one.trustedUntil);
      yield {
        fingerprint: one.fingerprint,
        is_primary: one.primary,
        status: until !== null && until < now ? "UNTRUSTED" : "TRUSTED",
        trusted_from: time(one.trustedFrom),
        trusted_until: until,
        crl_number: list?.number ?? null,
        crl_this_update: time(list?.thisUpdate),
        crl_next_update: time(list?.nextUpdate),
        certificate: one.certificatePem,
        crl: one.crlPem ?? null,
      };
    }
    for (const one of view.formerAuthorities)
      yield {
        fingerprint: one.fingerprint,
        is_primary: false,
        status: view.pinnedAuthorities.some(({ fingerprint }) => fingerprint === one.fingerprint)
          ? "PINNED_ONLY"
          : "RETIRED",
        trusted_from: time(one.trustedFrom),
        trusted_until: time(one.until),
        crl_number: null,
        crl_this_update: null,
        crl_next_update: null,
        certificate: one.certificatePem,
        crl: null,
      };
  },
  *ca_rotation({ cluster: { view } }): Iterable<CatalogRow> {
    const nameOf = (node: string): string => view.members.get(node)?.name ?? node;
    const row = (one: Rotation): CatalogRow => ({
      rotation_uuid: one.id,
      from_ca: one.from,
      to_ca: one.to,
      started_at: time(one.startedAt),
      stability_window: { months: 0, days: 0, micros: BigInt(one.windowMs) * 1000n },
      automatic: one.automatic,
      started_by: one.by,
    });
    for (const past of view.pastRotations) {
      // CUTOVER is what is seen until the epoch without the older CA is in effect (spec/03 R5).
      const latest = view.epochs.at(-1);
      const isFresh =
        past.outcome === "DONE" && latest?.state === "CONVERGING" && past === view.pastRotations.at(-1);
      yield {
        ...row(past),
        phase: isFresh ? "CUTOVER" : past.outcome === "EMERGENCY" ? "EMERGENCY_DONE" : past.outcome,
        ended_at: time(past.endedAt),
        nodes_done: null,
        nodes_left: null,
        gate_open_since: null,
      };
    }
    const { rotation } = view;
    if (rotation === undefined) return;
    const progress = view.rotationProgress()!;
    const counted = [...view.members.values()].filter((one) => one.state !== "REMOVED");
    yield {
      ...row(rotation),
      phase: rotation.emergency === true ? "EMERGENCY" : "OVERLAP",
      ended_at: null,
      nodes_done: texts(counted.filter((one) => !progress.laggards.has(one.uuid)).map((one) => one.name)),
      nodes_left: texts([...progress.laggards].map(([node, why]) => `${nameOf(node)} ${why}`)),
      gate_open_since: time(progress.completeSince),
    };
  },
  *alerts({ cluster, alerts }): Iterable<CatalogRow> {
    const { view, status } = cluster;
    for (const { rule, labels, value, since } of alerts())
      yield {
        node_name: view.members.get(status.node)?.name ?? status.node,
        alert: rule.name,
        severity: rule.severity,
        metric: `scratchbird_${rule.metric}`,
        labels: eventDetail(labels),
        value,
        threshold: rule.above ?? rule.below ?? null,
        firing_since: time(since),
        summary: rule.summary,
      };
  },
  *peer_health({ cluster, now }): Iterable<CatalogRow> {
    const { view, status } = cluster;
    const silence = durationMs(view.setting("membership.observation_interval"));
    for (const peer of status.peers) {
      const seen = time(peer.lastSeenAt);
      const reason = !peer.connected
        ? "not connected"
        : seen === null || now - seen > silence * 1000
          ? "silent"
          : (peer.roundTripMs ?? 0) > slowMs
            ? "answers slowly"
            : null;
      yield {
        node_uuid: status.node,
        peer_uuid: peer.node,
        peer_name: view.members.get(peer.node)?.name ?? peer.node,
        status: reason === null ? "HEALTHY" : peer.connected ? "DEGRADED" : "UNREACHABLE",
        round_trip_ms: peer.roundTripMs ?? null,
        last_seen_at: seen,
        epoch: peer.epoch || null,
        applied_index: peer.appliedIndex,
        version: versionText(peer.version),
        reason,
      };
    }
  },
  *churn_metrics(context): Iterable<CatalogRow> {
    for (const hour of context.churn()) {
      yield {
        observation_time: time(hour.observedAt),
        node_join_count: hour.joins,
        node_leave_count: hour.leaves,
        node_failure_count: hour.failures,
        leader_election_count: hour.elections,
        avg_leader_tenure: hour.averageTenureSeconds ?? null,
        shard_migration_count: hour.moves,
        shard_rebalance_count: hour.rebalances,
        cluster_stability_score: hour.score,
        network_partition_count: hour.partitions,
      };
    }
  },
  /** Epochs, those that were refused, and the last change of each node, in order of time. */
  cluster_events({ cluster }): Iterable<CatalogRow> {
    const { view } = cluster;
    const events: { readonly at: number; readonly row: CatalogRow }[] = [];
    const note = (at: number, type: string, row: Readonly<Record<string, Value>>): void => {
      events.push({ at, row: { occurred_at: time(at), event_type: type, ...row } });
    };
    for (const { epoch, effectiveAt, by } of view.epochs) {
      const detail = eventDetail({ by, description: epoch.description });
      note(epoch.publishedAt, "EPOCH_PUBLISHED", { epoch_number: epoch.number, detail });
      if (effectiveAt !== undefined)
        note(effectiveAt, "EPOCH_EFFECTIVE", { epoch_number: epoch.number, detail: null });
    }
    for (const { number, condition, message, at } of view.refusedEpochs)
      note(at, "EPOCH_REFUSED", { epoch_number: number, detail: eventDetail({ condition, message }) });
    for (const { uuid, state, stateChangedAt, stateChangedBy, stateReason } of view.members.values()) {
      const detail = eventDetail({ by: stateChangedBy, reason: stateReason });
      note(stateChangedAt, "NODE_STATE_CHANGED", { node_uuid: uuid, to_state: state, detail });
    }
    return events.sort((a, b) => a.at - b.at).map((one) => one.row);
  },
};

/** Their part of sys.settings. */
export function* clusterSettingRows({ cluster }: ViewContext): Iterable<CatalogRow> {
  const { view } = cluster;
  for (const def of Object.values(clusterSettings)) {
    const set = view.settings.has(def.name);
    yield {
      name: def.name,
      value: plainSetting(def, view.setting(def.name)),
      default_value: plainSetting(def, def.default),
      unit: def.unit ?? null,
      source: set ? "cluster" : "default",
      description: def.description,
    };
  }
}
