{{/* A name of at most 52 characters: the StatefulSet appends to it. */}}
{{- define "braid.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "braid.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "braid.labels" -}}
{{ include "braid.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "braid.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* A scalar as TOML. Helm reads every number as a float, so 64 would come out
     as 64.0, which is no integer to Braid; a JSON string is a TOML string. */}}
{{- define "braid.tomlValue" -}}
{{- if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end -}}

{{/* Where the keys of tokens are; empty for nowhere. */}}
{{- define "braid.jwks" -}}
{{- if .Values.auth.jwksConfigMapName -}}
/etc/braid/jwks/jwks.json
{{- else -}}
{{ .Values.auth.jwksUrl }}
{{- end -}}
{{- end -}}

{{/* The configuration file. */}}
{{- define "braid.toml" -}}
address = "0.0.0.0:7410"
health_address = "0.0.0.0:7411"
{{- if .Values.metrics.enabled }}
metrics_address = "0.0.0.0:7412"
{{- end }}
{{- if .Values.http.enabled }}
http_address = "0.0.0.0:7413"
http_hosts = {{ join "," .Values.http.hosts | toJson }}
{{- end }}
data_directory = "/var/lib/braid"
{{- with .Values.tracing }}
{{- if .otlpEndpoint }}
otlp_endpoint = {{ .otlpEndpoint | toJson }}
trace_sample_ratio = {{ include "braid.tomlValue" .sampleRatio }}
{{- end }}
{{- end }}
{{- range $key, $value := omit .Values.config "limits" }}
{{ $key }} = {{ include "braid.tomlValue" $value }}
{{- end }}

[limits]
shutdown_grace = "{{ int64 .Values.drain.graceSeconds }}s"
{{- range $key, $value := default dict .Values.config.limits }}
{{ $key }} = {{ include "braid.tomlValue" $value }}
{{- end }}
{{- with .Values.tls }}
{{- if .secretName }}

[tls]
certificate_file = "/etc/braid/tls/tls.crt"
key_file = "/etc/braid/tls/tls.key"
{{- if .clientCaSecretName }}
client_ca_file = "/etc/braid/client-ca/ca.crt"
client_certificates = {{ .clientCertificates | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.auth }}
{{- $tokens := include "braid.jwks" $ }}
{{- if or .accessSecretName $tokens .anonymous }}

[auth]
{{- if .accessSecretName }}
access_file = "/etc/braid/access/access.toml"
{{- end }}
{{- if $tokens }}
jwks = {{ $tokens | toJson }}
jwt_issuer = {{ .jwtIssuer | toJson }}
jwt_audience = {{ .jwtAudience | toJson }}
jwt_groups_claim = {{ .jwtGroupsClaim | toJson }}
{{- end }}
{{- if .anonymous }}
anonymous = {{ .anonymous | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{ end -}}

{{/* What a JSON schema cannot say. */}}
{{- define "braid.check" -}}
{{- with .Values -}}
{{- if and .tls.clientCaSecretName (not .tls.secretName) -}}
{{- fail "tls.clientCaSecretName needs tls.secretName: without TLS no client shows a certificate" -}}
{{- end -}}
{{- if and .auth.jwksUrl .auth.jwksConfigMapName -}}
{{- fail "auth.jwksUrl and auth.jwksConfigMapName: give one of them" -}}
{{- end -}}
{{- $tokens := or .auth.jwksUrl .auth.jwksConfigMapName -}}
{{- if and $tokens (not (and .auth.jwtIssuer .auth.jwtAudience)) -}}
{{- fail "auth.jwtIssuer and auth.jwtAudience are needed where tokens are taken" -}}
{{- end -}}
{{- if and (or .auth.accessSecretName $tokens) (not (or .tls.secretName .tls.byNetwork)) -}}
{{- fail "auth needs tls.secretName (or tls.byNetwork): keys and tokens must not travel in plain text" -}}
{{- end -}}
{{- if and .metrics.serviceMonitor.enabled (not .metrics.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled needs metrics.enabled" -}}
{{- end -}}
{{- end -}}
{{- end -}}
