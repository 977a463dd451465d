import { describe, expect, it } from "vitest";
import { addressBytes, hostOf, isLoopback, liesIn, networkText, parseNetwork, peerKey } from "./addresses.js";

describe("networks", () => {
  it.each([
    ["10.0.0.0/8", "10.0.0.0/8"],
    ["192.0.2.7", "192.0.2.7/32"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["::/0", "::/0"],
    ["::1", "::1/128"],
    ["2001:DB8:0:0:1:0:0:0/80", "2001:db8:0:0:1::/80"],
    ["fe80::/10", "fe80::/10"],
    ["::ffff:10.1.0.0/112", "10.1.0.0/16"],
    ["64:ff9b::192.0.2.0/120", "64:ff9b::c000:200/120"],
  ])("%s is written %s", (text, canonical) => {
    expect(networkText(parseNetwork(text))).toBe(canonical);
    expect(networkText(parseNetwork(canonical))).toBe(canonical);
  });

  it.each([
    "",
    "10.0.0/8",
    "10.0.0.1/8",
    "10.0.0.0/33",
    "::/129",
    "localhost",
    "1.2.3.04",
    "1:2:3:4:5:6:7",
    "1::2::3",
    "1:2:3:4:5:6:7::8",
    "::1.2.3.4:5",
    ":1::",
    "1.2.3.4/",
    "::ffff:0.0.0.0/90",
  ])("%s is refused", (text) => {
    expect(() => parseNetwork(text)).toThrow(/invalid network/);
  });

  it.each([
    ["10.255.1.2", "10.0.0.0/8", true],
    ["11.0.0.0", "10.0.0.0/8", false],
    ["::ffff:10.1.2.3", "10.0.0.0/8", true],
    ["10.1.2.3", "::/0", false],
    ["192.168.129.1", "192.168.128.0/17", true],
    ["192.168.127.1", "192.168.128.0/17", false],
    ["fe80::1%eth0", "fe80::/10", true],
    ["?", "0.0.0.0/0", false],
  ])("%s in %s: %s", (address, network, expected) => {
    expect(liesIn(addressBytes(address), parseNetwork(network))).toBe(expected);
  });

  it("knows loopback, hosts, and who is counted together", () => {
    expect(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].every(isLoopback)).toBe(true);
    expect(["::2", "10.0.0.1", "?", ""].some(isLoopback)).toBe(false);
    expect([hostOf("127.0.0.1:80"), hostOf("::1:5433")]).toEqual(["127.0.0.1", "::1"]);
    expect(peerKey("2001:db8:1:2:3::1")).toBe(peerKey("2001:db8:1:2:ffff::9"));
    expect(peerKey("2001:db8:1:2::1")).not.toBe(peerKey("2001:db8:1:3::1"));
    expect(peerKey("10.0.0.1")).not.toBe(peerKey("10.0.0.2"));
  });
});
