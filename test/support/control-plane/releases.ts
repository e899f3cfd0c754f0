/**
 * Which Kubernetes the tests run against, and where its programs come from. Every address outside is in this file.
 */

export const PINNED_VERSION = "v1.37.2";

export const PROGRAMS = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "helm"] as const;

export type ProgramName = (typeof PROGRAMS)[number];

/** One file to fetch, and the programs in it. */
export interface Download {
  readonly url: string;
  readonly programs: readonly ProgramName[];
  /** The path inside the archive of each; undefined: the file is the program itself. */
  readonly pathOf?: (program: ProgramName) => string;
  /** `sha512:…`; undefined: what the publisher has put beside the file (`.sha512`), over TLS. */
  readonly checksum: string | undefined;
}

/** `linux-amd64`, as the publishers write it. */
export function platformName(): string {
  return `${process.platform}-${process.arch === "x64" ? "amd64" : process.arch}`;
}

/**
 * The archives of controller-tools by minor version: not every patch is published. SHA-512 as the index
 * `envtest-releases.yaml` of kubernetes-sigs/controller-tools has them.
 */
const ENVTEST = {
  "1.37": {
    version: "v1.37.0",
    checksums: {
      "linux-amd64":
        "1d1c453633b72c161a5d5a886cde7ac850be1a2ac796a9e1d4ffacacc64868295bdd2d57aa66cd0c158f5ce510f5dfe3fbc61ac21bd3dcfb875bd70658aa663a",
      "linux-arm64":
        "ae6a670502988200b0131c943758cfd3d3a58cf4e6247ef7f0e6a6467f1cd9a333c802e86101f0446b1b92a0e327387224e1e44fe1a4693da0929c6e529cfe9a",
      "darwin-amd64":
        "19a2a5376a8aa57a7b25ec5198834db29bf2ba0d6ff572d7f45ba683b13fb14c3ebec8069e92db66c39f1c7a9cff1bc2be879e2aacdc9fa8b8a7e861959bdf7b",
      "darwin-arm64":
        "fb38cfacdd71b5e97a4d4cceac861af5f55069cf783f0e49cf181bfc32eb3e557c2091a534dc5d38f1b92c5ba142bc1979f215a5385b3630ea6a661be6fa161b",
    },
  },
} as const satisfies Readonly<
  Record<string, { readonly version: string; readonly checksums: Readonly<Record<string, string>> }>
>;

const HELM = {
  version: "v4.3.0",
  checksums: {
    "linux-amd64": "86584a54def73570558f66f5111cc53dfed56689637ae32c1201205d494f54fb",
    "linux-arm64": "31c5794dd55c66a51e6b7d2e2ac7a114ae8b1de41ff1d9ba51748ac973b06a08",
    "darwin-amd64": "347a784877e0e20eac865e8d1c36a80f6bb0861d6f29abd34defb6570ef95d92",
    "darwin-arm64": "d3870437e1e95b67f8edbde964156c84a26503f560821d40c542441658934fba",
  },
} as const;

/** What to fetch for a version on a platform; empty where nothing is published for it. */
export function downloadsFor(version: string, platform: string): readonly Download[] {
  const archives: Readonly<
    Record<string, { readonly version: string; readonly checksums: Readonly<Record<string, string>> }>
  > = ENVTEST;
  const minor = /^v(\d+\.\d+)\./.exec(version)?.[1] ?? "";
  const published = archives[minor];
  const release = published?.version ?? version;
  const checksum = published?.checksums[platform];
  const helmChecksum: string | undefined = { ...HELM.checksums }[platform as keyof typeof HELM.checksums];
  return [
    {
      url: `https://github.com/kubernetes-sigs/controller-tools/releases/download/envtest-${release}/envtest-${release}-${platform}.tar.gz`,
      programs: ["etcd", "kube-apiserver", "kubectl"],
      pathOf: (program) => `controller-tools/envtest/${program}`,
      checksum: checksum === undefined ? undefined : `sha512:${checksum}`,
    },
    // Published for Linux alone. Never newer than the API server.
    ...(platform.startsWith("linux-")
      ? [
          {
            url: `https://dl.k8s.io/release/${release}/bin/${platform.replace("-", "/")}/kube-controller-manager`,
            programs: ["kube-controller-manager"],
            checksum: undefined,
          } as const,
        ]
      : []),
    ...(helmChecksum === undefined
      ? []
      : [
          {
            url: `https://get.helm.sh/helm-${HELM.version}-${platform}.tar.gz`,
            programs: ["helm"],
            pathOf: () => `${platform}/helm`,
            checksum: `sha256:${helmChecksum}`,
          } as const,
        ]),
  ];
}
