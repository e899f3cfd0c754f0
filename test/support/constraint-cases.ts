/**
 * Name constraints and names, with what they come to.
 */

import type { nameConstraints, Subtree } from "./external-ca.ts";

export type Constraints = Parameters<typeof nameConstraints>[0];

const uri = (base: string): Subtree => [6, base];
export const dns = (base: string): Subtree => [2, base];
const ip = (...bytes: readonly number[]): Subtree => [7, Uint8Array.from(bytes)];
export const permitted = (...subtrees: readonly Subtree[]): Constraints => ({ permitted: subtrees });
const excluded = (...subtrees: readonly Subtree[]): Constraints => ({ excluded: subtrees });
const IPV6_TEN = [0xfd, ...Buffer.alloc(15), 0xff, ...Buffer.alloc(15)];

/** Under `example.org`, with one DNS name or address. */
export type Name = { readonly dns: string } | { readonly ip: string } | { readonly host: string };

const host = (text: string): Name => ({ host: text });
const dnsName = (text: string): Name => ({ dns: text });
const address = (text: string): Name => ({ ip: text });

/** What all libraries agree on. */
export const CASES: readonly (readonly [Constraints, Name, string])[] = [
  [permitted(uri("example.org")), host("example.org"), "permitted"],
  [permitted(uri("Example.ORG")), host("example.org"), "permitted"],
  [permitted(uri("example.com"), uri("example.org")), host("example.org"), "permitted"],
  [permitted(uri("example.com")), host("example.org"), "refused"],
  [permitted(uri("xample.org")), host("example.org"), "refused"],
  [permitted(uri(".example.org")), host("prod.example.org"), "permitted"],
  [permitted(uri(".example.org")), host("a.b.example.org"), "permitted"],
  [permitted(uri(".example.org")), host("example.org"), "refused"],
  [permitted(uri("example.org")), host("10.0.0.1"), "refused"],
  [excluded(uri("example.com")), host("example.org"), "permitted"],
  [excluded(uri("example.org")), host("example.org"), "refused"],
  [excluded(uri(".example.org")), host("prod.example.org"), "refused"],
  [{ permitted: [uri("example.org")], excluded: [uri("example.org")] }, host("example.org"), "refused"],
  [permitted(dns("svc")), dnsName("payments.shop.svc"), "permitted"],
  [permitted(dns("SVC")), dnsName("payments.shop.svc"), "permitted"],
  [permitted(dns("svc")), dnsName("Payments.Shop.SVC"), "permitted"],
  [permitted(dns("payments.shop.svc")), dnsName("payments.shop.svc"), "permitted"],
  [permitted(dns(".svc")), dnsName("payments.shop.svc"), "permitted"],
  [permitted(dns("")), dnsName("payments.shop.svc"), "permitted"],
  [permitted(dns("vc")), dnsName("payments.shop.svc"), "refused"],
  [permitted(dns("example.com")), dnsName("payments.shop.svc"), "refused"],
  [permitted(dns("a.payments.shop.svc")), dnsName("payments.shop.svc"), "refused"],
  [permitted(dns("example.com")), host("example.org"), "permitted"],
  [excluded(uri(".example.org")), host("example.org"), "permitted"],
  [excluded(dns(".shop.svc")), dnsName("shop.svc"), "permitted"],
  [excluded(dns(".shop.svc")), dnsName("a.shop.svc"), "refused"],
  [excluded(dns("example.com")), dnsName("payments.shop.svc"), "permitted"],
  [excluded(dns("svc")), dnsName("payments.shop.svc"), "refused"],
  [excluded(dns("")), dnsName("payments.shop.svc"), "refused"],
  [permitted(ip(10, 0, 0, 0, 255, 0, 0, 0)), address("10.1.2.3"), "permitted"],
  [permitted(ip(10, 0, 0, 0, 255, 0, 0, 0)), address("11.1.2.3"), "refused"],
  [permitted(ip(10, 0, 0, 0, 255, 0, 0, 0)), address("fd00::1"), "refused"],
  [permitted(ip(0, 0, 0, 0, 0, 0, 0, 0)), address("fd00::1"), "refused"],
  [permitted(ip(...IPV6_TEN)), address("fd00::1"), "permitted"],
  [permitted(ip(...IPV6_TEN)), address("fe00::1"), "refused"],
  [excluded(ip(10, 0, 0, 0, 255, 0, 0, 0)), address("10.1.2.3"), "refused"],
  [excluded(ip(10, 0, 0, 0, 255, 0, 0, 0)), address("11.1.2.3"), "permitted"],
  [excluded(ip(0, 0, 0, 0, 0, 0, 0, 0)), address("11.1.2.3"), "refused"],
  [permitted([1, "example.com"]), host("example.org"), "permitted"],
];

type Library = "Go" | "OpenSSL";

/** Where one of them permits, and the other refuses. */
export const DISAGREED: readonly (readonly [string, Constraints, Name, { readonly refusedBy: Library }])[] = [
  [
    "a host below a permitted one",
    permitted(uri("example.org")),
    host("prod.example.org"),
    { refusedBy: "OpenSSL" },
  ],
  [
    "any host under a constraint to nothing",
    permitted(uri("")),
    host("example.org"),
    { refusedBy: "OpenSSL" },
  ],
  ["a host below an excluded one", excluded(uri("org")), host("example.org"), { refusedBy: "Go" }],
  [
    "an address for a host, where a domain is excluded",
    excluded(uri("example.com")),
    host("10.0.0.1"),
    { refusedBy: "Go" },
  ],
  [
    "a wildcard over an excluded name",
    excluded(dns("a.shop.svc")),
    dnsName("*.shop.svc"),
    { refusedBy: "Go" },
  ],
];

/** What a leaf carries. */
export function sanOf(name: Name): {
  uri: string;
  dnsNames: readonly string[];
  ipAddresses: readonly string[];
} {
  return {
    uri: `spiffe://${"host" in name ? name.host : "example.org"}/ns/shop/sa/payments`,
    dnsNames: "dns" in name ? [name.dns] : [],
    ipAddresses: "ip" in name ? [name.ip] : [],
  };
}
