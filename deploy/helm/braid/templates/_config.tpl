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

{{/* Where the pods of a role are reached, of (dict "root" $ "role" ROLE). */}}
{{- define "braid.upstream" -}}
{{ include "braid.fullname" .root }}-{{ .role }}.{{ .root.Release.Namespace }}.svc
{{- end -}}

{{/* The name of a role's configuration in the ConfigMap. */}}
{{- define "braid.configKey" -}}
{{ ternary "braid" . (eq . "all") }}.toml
{{- end -}}

{{/* The configuration file of a role, of (dict "root" $ "role" ROLE); the role
     `all` is one process with all of them. */}}
{{- define "braid.toml" -}}
{{- $role := .role -}}
{{- with .root -}}
{{- if ne $role "all" -}}
roles = {{ $role | toJson }}
{{ end -}}
address = "0.0.0.0:7410"
health_address = "0.0.0.0:7411"
{{- if .Values.metrics.enabled }}
metrics_address = "0.0.0.0:7412"
{{- end }}
{{- if and .Values.http.enabled (eq $role (include "braid.edge" .)) }}
http_address = "0.0.0.0:7413"
http_hosts = {{ join "," .Values.http.hosts | toJson }}
{{- end }}
{{- if has $role (list "all" "retrieval") }}
data_directory = "/var/lib/braid"
{{- end }}
{{- with .Values.tracing }}
{{- if .otlpEndpoint }}
otlp_endpoint = {{ .otlpEndpoint | toJson }}
{{- if .headersSecretName }}
otlp_headers_file = "/etc/braid/otlp/headers"
{{- end }}
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
{{- $tokens := include "braid.jwks" $.root }}
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
{{- if eq $role "gateway" }}

[upstream]
{{- range $other := list "retrieval" "generation" }}
{{ $other }} = "{{ include "braid.upstream" (dict "root" $.root "role" $other) }}:7410"
{{- end }}
{{- if .Values.tls.secretName }}
tls = "on"
{{- if .Values.split.tls.caSecretName }}
ca_file = "/etc/braid/upstream-ca/ca.crt"
{{- end }}
{{- if .Values.tls.clientCaSecretName }}
certificate_file = "/etc/braid/tls/tls.crt"
key_file = "/etc/braid/tls/tls.key"
{{- end }}
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
{{- if .split.enabled -}}
{{- if and (or .auth.accessSecretName $tokens) (not .tls.secretName) -}}
{{- fail "split.enabled with keys or tokens needs tls.secretName: a gateway does not pass them on in plain text" -}}
{{- end -}}
{{- if and (or .split.tls.secretName .split.tls.caSecretName) (not .tls.secretName) -}}
{{- fail "split.tls needs tls.secretName" -}}
{{- end -}}
{{- range $role := list "generation" "gateway" -}}
{{- with (index $.Values.split $role).autoscaling -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "split.%s.autoscaling: minReplicas is above maxReplicas" $role) -}}
{{- end -}}
{{- if and .enabled (not $.Values.metrics.enabled) -}}
{{- fail (printf "split.%s.autoscaling needs metrics.enabled: it follows the calls in flight" $role) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
