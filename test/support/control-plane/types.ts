/**
 * A real control plane for tests (etcd, kube-apiserver, kube-controller-manager) as suites see it.
 * `shared.ts` gives the one that all suites of a run share, `start.ts` one of a suite's own.
 */

/** How a program ended; `code` is 1 where a signal ended it. */
export interface Completed {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** What the program reads from standard input: for `kubectl apply -f -`. */
  readonly input?: string;
  /** Who asks: a path from `userKubeconfig`. Default: the admin (group system:masters). */
  readonly kubeconfig?: string;
  /** Who asks: a user without groups, for whom a client certificate is made. */
  readonly user?: string;
}

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query: `/api/v1/namespaces?dryRun=All`. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Default application/json; `application/apply-patch+yaml` takes JSON too. */
  readonly contentType?: string;
}

export interface ApiResponse {
  readonly status: number;
  /** The parsed JSON, or the text where it is none. */
  readonly body: unknown;
}

/** What every suite may do; nothing here disturbs the other suites that share the server. */
export interface ControlPlane {
  /** The path of the admin's kubeconfig. */
  readonly kubeconfig: string;
  /** `https://127.0.0.1:20123` */
  readonly server: string;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string;
  /**
   * The path of the audit log: a JSON event (level Metadata) per line and request, stage ResponseComplete. A watch has
   * one more when it begins, stage ResponseStarted.
   */
  readonly auditLog: string;
  /** The folder with etcd, kube-apiserver, kube-controller-manager, kubectl and helm: put it in front of PATH. */
  readonly assets: string;
  /** `v1.37.2`: what is asked for with --version; a server from KUBEBUILDER_ASSETS may be another. */
  readonly version: string;

  /** Never rejects for an exit code. */
  kubectl(args: readonly string[], options?: CommandOptions): Promise<Completed>;
  /** As `kubectl`; Helm's own files are in a folder of this control plane. */
  helm(args: readonly string[], options?: CommandOptions): Promise<Completed>;
  /** One request as the admin over a kept-alive connection: milliseconds, where kubectl takes a tenth of a second. */
  request(request: ApiRequest): Promise<ApiResponse>;
  /** Makes a client certificate for this user in these groups, and answers a kubeconfig's path. */
  userKubeconfig(name: string, groups?: readonly string[]): Promise<string>;
  /** Makes a namespace with a name of its own (`t-3f9a0c12`), its default ServiceAccount included, and answers the name. */
  makeNamespace(labels?: Readonly<Record<string, string>>): Promise<string>;
  /** Applies crds/*.yaml and waits until they are served; any number of suites may do it at once. */
  installCrds(): Promise<void>;
}

export type Program = "etcd" | "kube-apiserver" | "kube-controller-manager";

/** A control plane of one's own, which failures may be tried on. */
export interface OwnControlPlane extends ControlPlane, AsyncDisposable {
  readonly dir: string;
  /** Process ids, for measuring and for signals of other kinds. */
  pid(program: Program): number;
  /** The API server stands still (SIGSTOP): connections open, nothing answers. */
  pause(): void;
  resume(): void;
  /** The API server is gone at once (SIGKILL): connections are refused. */
  kill(): Promise<void>;
  /** Starts the API server again on the same port, after `kill` or instead of it, and waits until it is ready. */
  restart(flags?: readonly string[]): Promise<void>;
  /** Ends all and removes the directory; a second time it does nothing. */
  stop(): Promise<void>;
}

export interface StartOptions {
  /** Further flags of kube-apiserver: `["--goaway-chance=0.02"]`. */
  readonly flags?: readonly string[];
  /** An empty or absent directory; default: one of its own in memory. */
  readonly dir?: string;
  /** Default: the pinned version. */
  readonly version?: string;
  /** Default true: ends when the process that started it does, however that ends. */
  readonly endsWithOwner?: boolean;
}
