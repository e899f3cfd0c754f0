/**
 * node-forge's ASN.1 module by itself: loading all of node-forge costs 30 ms of every start, this 4.
 */
declare module "node-forge/lib/asn1.js" {
  import type { asn1 } from "node-forge";

  /** Its `create` with plain numbers: the enums of the original cannot name a context tag. */
  const module: Omit<typeof asn1, "create"> & {
    create(tagClass: number, type: number, constructed: boolean, value: string): asn1.Asn1;
  };
  export = module;
}
