/** Made by hack/generate from crds/: change it there. */

export type ServiceIdentitySpec = {
  readonly serviceAccountName?: string;
  readonly x509?: {
    readonly ttl?: string;
    readonly renewAfterPercent?: number;
    readonly keyAlgorithm?: "ECDSA-P256" | "ECDSA-P384" | "RSA-2048" | "RSA-3072" | "RSA-4096" | "Ed25519";
    readonly dnsNames?: readonly string[];
    readonly secretName?: string;
    readonly formats?: readonly ("PEM" | "Istio" | "PKCS12" | "Combined")[];
    readonly pkcs12?: {
      readonly passwordSecretRef: {
        readonly name: string;
        readonly key: string;
      };
    };
  };
  readonly jwt?: {
    readonly tokens: readonly {
      readonly audience: string;
      readonly key?: string;
      readonly ttl?: string;
    }[];
    readonly secretName?: string;
  };
  readonly mtls?: {
    readonly mode: "Strict" | "Permissive" | "Disabled";
    readonly selector: {
      readonly matchLabels: Readonly<Record<string, string>>;
    };
    readonly exceptions?: readonly {
      readonly port: number;
      readonly mode: "Strict" | "Permissive" | "Disabled";
    }[];
  };
};

export type ServiceIdentityStatus = {
  readonly observedGeneration?: number;
  readonly spiffeID?: string;
  readonly x509?: {
    readonly serialNumber?: string;
    readonly notBefore?: string;
    readonly notAfter?: string;
    readonly renewalTime?: string;
    readonly ttl?: string;
    readonly ttlReason?: string;
    readonly authorityKeyID?: string;
    readonly secretName?: string;
    readonly revision?: number;
  };
  readonly jwt?: {
    readonly tokens?: readonly {
      readonly audience: string;
      readonly key?: string;
      readonly keyID?: string;
      readonly notAfter?: string;
    }[];
    readonly secretName?: string;
  };
  readonly mtls?: {
    readonly mode?: string;
    readonly peerAuthentication?: string;
  };
  readonly lastManualRenewal?: string;
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: "True" | "False" | "Unknown";
    readonly reason: string;
    readonly message: string;
    readonly observedGeneration?: number;
    readonly lastTransitionTime: string;
  }[];
};

export type TrustDomainSpec = {
  readonly authority?: {
    readonly source?: "Internal" | "Secret";
    readonly secretRef?: {
      readonly name: string;
    };
    readonly keyAlgorithm?: "ECDSA-P256" | "ECDSA-P384" | "RSA-3072" | "RSA-4096";
    readonly rootTTL?: string;
    readonly issuingTTL?: string;
  };
  readonly jwt?: {
    readonly issuer?: string;
    readonly algorithm?: "ES256" | "ES384" | "RS256" | "PS256";
    readonly keyTTL?: string;
  };
  readonly rotation?: {
    readonly propagation?: string;
    readonly paused?: boolean;
    readonly crossSignRoots?: boolean;
    readonly maintenanceWindows?: readonly {
      readonly schedule: string;
      readonly timeZone?: string;
      readonly duration: string;
    }[];
  };
  readonly bundle?: {
    readonly namespaceSelector?: {
      readonly matchLabels?: Readonly<Record<string, string>>;
      readonly matchExpressions?: readonly {
        readonly key: string;
        readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
        readonly values?: readonly string[];
      }[];
    };
    readonly configMapName?: string;
    readonly additionalRoots?: string;
  };
  readonly limits?: {
    readonly minTTL?: string;
    readonly maxTTL?: string;
    readonly maxTokenTTL?: string;
    readonly keyAlgorithms?: readonly (
      | "ECDSA-P256"
      | "ECDSA-P384"
      | "RSA-2048"
      | "RSA-3072"
      | "RSA-4096"
      | "Ed25519"
    )[];
    readonly identitiesPerNamespace?: number;
  };
};

export type TrustDomainStatus = {
  readonly observedGeneration?: number;
  readonly bundle?: {
    readonly sequence?: number;
    readonly hash?: string;
    readonly namespaces?: number;
    readonly namespacesCurrent?: number;
  };
  readonly authorities?: readonly {
    readonly kind: "Root" | "Issuing" | "JWT";
    readonly keyID: string;
    readonly state: "Prepared" | "Active" | "Retired";
    readonly issuerKeyID?: string;
    readonly notBefore?: string;
    readonly notAfter?: string;
    readonly signedUntil?: string;
    readonly since?: string;
    readonly waitingFor?: string;
    readonly waitingUntil?: string;
  }[];
  readonly lastManualRotation?: {
    readonly root?: string;
    readonly issuing?: string;
    readonly jwt?: string;
  };
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: "True" | "False" | "Unknown";
    readonly reason: string;
    readonly message: string;
    readonly observedGeneration?: number;
    readonly lastTransitionTime: string;
  }[];
};
