import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Leaf certificates a second of processor time by Go's x509.CreateCertificate, key generation apart. */
const PROGRAM = `package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Processor time of this process: what else runs on the machine does not count.
func used() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

func main() {
	duration, err := strconv.Atoi(os.Args[1])
	must(err)
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: now, NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	must(err)
	ca, err = x509.ParseCertificate(der)
	must(err)
	id, err := url.Parse("spiffe://cluster.local/ns/shop/sa/payments")
	must(err)
	count := 0
	end := time.Now().Add(time.Duration(duration) * time.Millisecond)
	start := used()
	for time.Now().Before(end) {
		serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
		must(err)
		leaf := &x509.Certificate{SerialNumber: serial, NotBefore: now, NotAfter: now.Add(time.Minute), URIs: []*url.URL{id},
			DNSNames: []string{"payments.shop.svc", "payments.shop.svc.cluster.local"}, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		_, err = x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
		must(err)
		count++
	}
	fmt.Printf("%f\\n", float64(count)/(used()-start))
}
`;

export interface GoBaseline extends AsyncDisposable {
  readonly version: string;
  /** Certificates a second of processor time, over so many milliseconds. */
  measure(milliseconds: number): Promise<number>;
}

/** Undefined where Go is not there. */
export async function buildGoBaseline(): Promise<GoBaseline | undefined> {
  const version = await run("go", ["version"]).catch(() => undefined);
  if (version === undefined) return undefined;
  const dir = await mkdtemp(join(tmpdir(), "meshid-bench-go-"));
  await writeFile(join(dir, "main.go"), PROGRAM);
  const binary = join(dir, "baseline");
  await run("go", ["build", "-o", binary, join(dir, "main.go")], {
    env: { ...process.env, GOFLAGS: "-mod=mod" },
  });
  return {
    version: version.stdout.trim(),
    measure: async (milliseconds) => {
      const env = { ...process.env, GOMAXPROCS: "1" };
      return Number((await run(binary, [String(milliseconds)], { env })).stdout);
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}
