{{- define "atrium.name" -}}
{{- if contains "atrium" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-atrium" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "atrium.image" -}}
{{ .root.Values.image.registry }}/{{ .name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* Labels of one component: dict root name. */}}
{{- define "atrium.selector" -}}
app.kubernetes.io/name: atrium
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "atrium.labels" -}}
{{ include "atrium.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: atrium
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "atrium.secret" -}}
{{ .Values.secret.existing | default (printf "%s-secrets" (include "atrium.name" .)) }}
{{- end }}

{{/* The keys that the Secret must have, as JSON: from the services' rows. */}}
{{- define "atrium.secretKeys" -}}
{{- $keys := list "POSTGRES_PASSWORD" "REDIS_PASSWORD" "GATEWAY_PUBLIC_KEY" "OPS_NATS_PASSWORD" }}
{{- range $name, $row := .Files.Get "files/services.yaml" | fromYaml }}
{{- $keys = concat $keys $row.secrets (list (printf "%s_NATS_PASSWORD" (upper $name))) }}
{{- if $row.database }}{{ $keys = append $keys (printf "%s_DB_PASSWORD" (upper $name)) }}{{ end }}
{{- if $row.bytes }}{{ $keys = append $keys (printf "%s_TICKET_KEY" (upper $name)) }}{{ end }}
{{- end }}
{{- $keys | uniq | sortAlpha | toJson }}
{{- end }}

{{/* One variable from the Secret: dict root name key. */}}
{{- define "atrium.fromSecret" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: {name: {{ include "atrium.secret" .root }}, key: {{ .key }}}
{{- end }}

{{- define "atrium.natsUrl" -}}
{{- if .Values.nats.enabled }}nats://{{ include "atrium.name" . }}-nats:4222{{ else }}{{ required "nats.url is needed when nats.enabled is false" .Values.nats.url }}{{ end }}
{{- end }}

{{/* Where the database is: dict root user variable; the password is expanded by Kubernetes from an earlier variable. */}}
{{- define "atrium.databaseUrl" -}}
{{- $p := .root.Values.postgres }}
{{- $host := printf "%s-postgres" (include "atrium.name" .root) }}
{{- if not $p.enabled }}{{ $host = required "postgres.host is needed when postgres.enabled is false" $p.host }}{{ end }}
{{- printf "postgresql://%s:$(%s)@%s:%d/%s?sslmode=%s" .user .variable $host (int $p.port) $p.database (ternary "disable" $p.sslmode $p.enabled) }}
{{- end }}

{{- define "atrium.redisAddress" -}}
{{- if .Values.redis.enabled }}{{ include "atrium.name" . }}-redis:6379{{ else }}{{ .Values.redis.address }}{{ end }}
{{- end }}

{{/* The data planes that the gateway relays to: "media=r-atrium-media:8081". */}}
{{- define "atrium.backends" -}}
{{- $list := list }}
{{- range $name, $row := .Files.Get "files/services.yaml" | fromYaml }}
{{- if $row.bytes }}{{ $list = append $list (printf "%s=%s-%s:%d" $name (include "atrium.name" $) $name (int $row.bytes)) }}{{ end }}
{{- end }}
{{- $list | join "," }}
{{- end }}

{{/* Where people reach it. */}}
{{- define "atrium.publicUrl" -}}
{{- if .Values.ingress.enabled }}{{ ternary "https" "http" (ne .Values.ingress.tlsSecret "") }}://{{ .Values.ingress.host }}{{ else }}http://localhost:8080{{ end }}
{{- end }}

{{- define "atrium.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "atrium.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
capabilities: {drop: [ALL]}
{{- end }}

{{/* What every pod has. */}}
{{- define "atrium.pod" -}}
serviceAccountName: {{ include "atrium.name" . }}
{{ include "atrium.podCommon" . }}
{{- end }}

{{- define "atrium.podCommon" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "atrium.claim" -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: data
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .className }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests: {storage: {{ .size }}}
{{- end }}

{{/* The port of a server outside: dict root server. */}}
{{- define "atrium.portOf" -}}
{{- if eq .server.name "postgres" }}{{ int .root.Values.postgres.port }}
{{- else }}{{ regexFind ":[0-9]+$" .server.outside | trimPrefix ":" | default (toString .server.port) }}{{ end }}
{{- end }}
