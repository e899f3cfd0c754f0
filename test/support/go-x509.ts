/**
 * Go's crypto/x509 as a second opinion, and as the maker of foreign certificates: cert-manager, Vault, step-ca and SPIRE
 * are built on it.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExternalFiles } from "../../src/authority/external-authority.ts";
import type { Seconds } from "../../src/core/brand.ts";
import { Secret } from "../../src/core/secret.ts";

/** Names are in the leaf; the result of each is empty when the chain is good. */
export interface GoChain {
  readonly leaf: string;
  readonly intermediates: string;
  readonly roots: string;
}

const PROGRAM = `package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

type chain struct{ Leaf, Intermediates, Roots string }

func check(c chain, now time.Time) string {
	block, _ := pem.Decode([]byte(c.Leaf))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err.Error()
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(c.Roots)) {
		return "no roots"
	}
	between.AppendCertsFromPEM([]byte(c.Intermediates))
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
		if err != nil {
			return err.Error()
		}
	}
	return ""
}

// What crypto/x509 writes when nothing else is said, as a CA that is written in Go does.
func sign(name string, parent *x509.Certificate, by, key crypto.Signer, now time.Time) *x509.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{Organization: []string{"Corp"}, CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(240 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	must(err)
	certificate, err := x509.ParseCertificate(der)
	must(err)
	return certificate
}

func write(dir, name, kind string, contents ...[]byte) {
	text := []byte{}
	for _, der := range contents {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	must(os.WriteFile(filepath.Join(dir, name), text, 0o600))
}

func main() {
	seconds, err := strconv.ParseInt(os.Args[2], 10, 64)
	must(err)
	now := time.Unix(seconds, 0)
	if os.Args[1] == "verify" {
		var chains []chain
		must(json.NewDecoder(os.Stdin).Decode(&chains))
		results := []string{}
		for _, each := range chains {
			results = append(results, check(each, now))
		}
		must(json.NewEncoder(os.Stdout).Encode(results))
		return
	}
	rootKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	middleKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	var key crypto.Signer
	dir := os.Args[4]
	if os.Args[3] == "RSA" {
		own, err := rsa.GenerateKey(rand.Reader, 3072)
		must(err)
		write(dir, "tls.key", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(own))
		key = own
	} else {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		der, err := x509.MarshalECPrivateKey(own)
		must(err)
		write(dir, "tls.key", "EC PRIVATE KEY", der)
		key = own
	}
	root := sign("Root", nil, rootKey, rootKey, now)
	middle := sign("Middle", root, rootKey, middleKey, now)
	issuing := sign("Issuing", middle, middleKey, key, now)
	write(dir, "ca.crt", "CERTIFICATE", root.Raw)
	write(dir, "tls.crt", "CERTIFICATE", issuing.Raw, middle.Raw, root.Raw)
}
`;

export class GoX509 {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Builds the program; its folder goes with \`remove\`. */
  static build(): GoX509 {
    const folder = mkdtempSync(join(tmpdir(), "meshid-go-x509-"));
    writeFileSync(join(folder, "main.go"), PROGRAM);
    execFileSync("go", ["build", "-o", "x509", "main.go"], { cwd: folder, stdio: "pipe" });
    return new GoX509(folder);
  }

  /** For each chain why Go refuses it, for servers or for clients; empty where it does not. */
  verify(chains: readonly GoChain[], now: Seconds): readonly string[] {
    return JSON.parse(this.#run(["verify", String(now)], JSON.stringify(chains))) as readonly string[];
  }

  /** The files of a CA that Go made with its defaults; the key in the form that Go's own functions give. */
  make(algorithm: "RSA" | "ECDSA", now: Seconds): ExternalFiles {
    const folder = mkdtempSync(join(this.#folder, "ca-"));
    this.#run(["make", String(now), algorithm, folder]);
    const read = (name: string): string => readFileSync(join(folder, name), "utf8");
    return { certificate: read("tls.crt"), key: new Secret(read("tls.key")), roots: read("ca.crt") };
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }

  #run(args: readonly string[], input = ""): string {
    return execFileSync(join(this.#folder, "x509"), [...args], { encoding: "utf8", input });
  }
}
