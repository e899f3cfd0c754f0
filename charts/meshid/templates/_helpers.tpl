{{/* Chosen by selectors: never to be changed. */}}
{{- define "meshid.selectorLabels" -}}
app.kubernetes.io/name: meshid
app.kubernetes.io/component: controller
{{- end }}

{{- define "meshid.labels" -}}
{{ include "meshid.selectorLabels" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: meshid
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- end }}

{{- define "meshid.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{/* Who meshid is to the API server. */}}
{{- define "meshid.userName" -}}
system:serviceaccount:{{ .Release.Namespace }}:meshid
{{- end }}

{{- define "meshid.subject" -}}
- kind: ServiceAccount
  name: meshid
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* The spec of the TrustDomain; the issuer is set where the default of the CRD would name another namespace. */}}
{{- define "meshid.trustDomainSpec" -}}
{{- $spec := deepCopy .Values.trustDomain.spec -}}
{{- if ne .Release.Namespace "meshid-system" -}}
{{- $issuer := dict "jwt" (dict "issuer" (printf "https://meshid.%s.svc" .Release.Namespace)) -}}
{{- $spec = mergeOverwrite $issuer $spec -}}
{{- end -}}
{{ toYaml $spec }}
{{- end }}

{{/* Seconds of a duration in Go syntax of h, m and s. */}}
{{- define "meshid.seconds" -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+[hms]" . -1 -}}
{{- $unit := ternary 3600 (ternary 60 1 (hasSuffix "m" .)) (hasSuffix "h" .) -}}
{{- $sum = add $sum (mul (regexFind "[0-9]+" . | int64) $unit) -}}
{{- end -}}
{{ $sum }}
{{- end }}

{{/* Rules on namespaced objects: for a ClusterRole, or for Roles where watchNamespaces is set. */}}
{{- define "meshid.namespacedReadRules" -}}
- apiGroups: [meshid.dev]
  resources: [serviceidentities]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [get, list, watch]
{{- end }}

{{- define "meshid.namespacedWriteRules" -}}
- apiGroups: [meshid.dev]
  resources: [serviceidentities/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [create, patch, delete]
- apiGroups: [security.istio.io]
  resources: [peerauthentications]
  verbs: [create, patch, delete]
{{- end }}
