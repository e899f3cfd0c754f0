import { beforeAll, describe, expect, it } from "@jest/globals";
import { seconds } from "../../../src/core/brand.ts";
import { systemRandom } from "../../../src/core/random.ts";
import type { Content } from "../../../src/reconcile/facts.ts";
import { observeSecret } from "../../../src/reconcile/facts.ts";
import type { SecretManifest } from "../../../src/reconcile/manifests/manifest.ts";
import { x509SecretManifest } from "../../../src/reconcile/manifests/secret.ts";
import type { ObservedSecret } from "../../../src/reconcile/state.ts";
import type { Certificate } from "../../../src/x509/certificate.ts";
import { encodeKey, generateKey, type KeyId, type PrivateKey } from "../../../src/x509/keys.ts";
import { signCross } from "../../../src/x509/template.ts";
import { entryOf, NOW } from "../../support/builders.ts";
import { honestLeaf, makePki, TRUST_DOMAIN } from "../../support/certificates.ts";

describe("what is known of a certificate without reading it back", () => {
  let manifest: SecretManifest;

  const observe = (content: Content, known = manifest.x509): ObservedSecret =>
    observeSecret(manifest.ref, { ownerUid: undefined, annotations: {} }, content, known);
  const manifestFor = async (
    privateKey: PrivateKey,
    given?: Certificate,
    chainPem?: string,
  ): Promise<SecretManifest> => {
    const leaf = given ?? (await honestLeaf(await makePki(), privateKey));
    return x509SecretManifest({
      entry: entryOf(),
      privateKey,
      privateKeyPem: encodeKey(privateKey).pem,
      chainPem: chainPem ?? leaf.pem(),
      leaf,
      authorityKeyID: leaf.authorityKeyID as KeyId,
      caPem: "",
      password: undefined,
      revision: 1,
      issuedSince: NOW,
    });
  };

  beforeAll(async () => {
    manifest = await manifestFor(await generateKey("ECDSA-P256"));
  });

  it("is the same that reading it back finds", () => {
    const content = manifest.data.reveal();
    expect(manifest.x509?.facts).toEqual(
      observeSecret(manifest.ref, { ownerUid: undefined, annotations: {} }, content).x509,
    );
  });

  it("is the same for a chain that ends in the word of another root, and names that root", async () => {
    const [former, next] = [await makePki(), await makePki()];
    const key = await generateKey("ECDSA-P256");
    const leaf = await honestLeaf(next, key);
    const life = { notBefore: NOW, notAfter: seconds(former.root.notAfter), random: systemRandom };
    const cross = await signCross({ ...life, trustDomain: TRUST_DOMAIN, root: next.root }, former.rootIssuer);
    const { x509, data } = await manifestFor(key, leaf, leaf.pem() + next.issuingPem + cross);
    expect(x509?.facts.topIssuerKeyID).toBe(former.root.subjectKeyID);
    expect(x509?.facts.authorityKeyID).toBe(next.issuing.subjectKeyID);
    const read = observeSecret(manifest.ref, { ownerUid: undefined, annotations: {} }, data.reveal()).x509;
    expect(read).toEqual(x509?.facts);
  });

  it("is taken for the content that it is of, and for no other", async () => {
    const content = manifest.data.reveal();
    expect(observe(content).x509).toBe(manifest.x509?.facts);
    const other = (await manifestFor(await generateKey("ECDSA-P256"))).data.reveal();
    for (const name of ["tls.crt", "tls.key"]) {
      const changed = observe({ ...content, [name]: other[name] ?? Buffer.alloc(0) });
      expect(changed.x509).not.toBe(manifest.x509?.facts);
      expect(changed.x509?.pairMatches).toBe(false);
    }
  });
});
