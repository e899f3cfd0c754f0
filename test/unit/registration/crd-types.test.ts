/**
 * The types of the custom resources in src/registration against those that hack/generate makes from crds/. The compiler
 * finds what differs (`npm run check:types`): a field that is missing, too much, optional here and required there, or that
 * has other values.
 */

import { readFile } from "node:fs/promises";
import { expect, it } from "@jest/globals";
import { CRD_TYPES, crdTypes } from "../../../hack/generate-types.ts";
import type {
  ServiceIdentitySpec,
  ServiceIdentityStatus,
  TrustDomainSpec,
  TrustDomainStatus,
} from "../../../src/registration/service-identity.ts";
import type * as Crd from "../../support/crd-types.ts";

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the compiler compares conditional types exactly.
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Its fields alone: what meshid writes it knows more closely (values, what is always there) than the schema says. */
type Fields<T> = T extends readonly (infer Item)[]
  ? readonly Fields<Item>[]
  : T extends object
    ? { readonly [K in keyof T]-?: Fields<Exclude<T[K], undefined>> }
    : unknown;

const SAME: readonly true[] = [
  true satisfies Same<Plain<ServiceIdentitySpec>, Plain<Crd.ServiceIdentitySpec>>,
  true satisfies Same<Plain<TrustDomainSpec>, Plain<Crd.TrustDomainSpec>>,
  true satisfies Same<Fields<ServiceIdentityStatus>, Fields<Crd.ServiceIdentityStatus>>,
  true satisfies Same<Fields<TrustDomainStatus>, Fields<Crd.TrustDomainStatus>>,
];

/** With its aliases and interfaces resolved. */
type Plain<T> = T extends readonly (infer Item)[]
  ? readonly Plain<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: Plain<T[K]> }
    : T;

/** What meshid writes is what the schema takes. */
const accepts = (
  identity: ServiceIdentityStatus,
  domain: TrustDomainStatus,
): readonly [Crd.ServiceIdentityStatus, Crd.TrustDomainStatus] => [identity, domain];

it("the generated types are what hack/generate makes of crds/", async () => {
  expect(await readFile(new URL(`../../../${CRD_TYPES}`, import.meta.url), "utf8")).toBe(await crdTypes());
  expect(SAME).toHaveLength(4);
  expect(accepts({}, {})).toEqual([{}, {}]);
});
