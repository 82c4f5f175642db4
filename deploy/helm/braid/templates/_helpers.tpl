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

{{- define "braid.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "braid.selectorLabels" -}}
app.kubernetes.io/name: {{ include "braid.name" . }}
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

{{/* What tells the pods of a role apart, of (dict "root" $ "role" ROLE). The pod
     with the disk is `retrieval` with all roles in it as well, so that
     split.enabled changes neither its name nor its disk. */}}
{{- define "braid.component" -}}
app.kubernetes.io/component: {{ ternary "retrieval" .role (eq .role "all") }}
{{- end -}}

{{- define "braid.podSelector" -}}
{{ include "braid.selectorLabels" .root }}
{{ include "braid.component" . }}
{{- end -}}

{{/* The roles that have pods of their own, as a list in JSON. */}}
{{- define "braid.roles" -}}
{{- if .Values.split.enabled -}}
{{- toJson (list "retrieval" "generation" "gateway") -}}
{{- else -}}
{{- toJson (list "all") -}}
{{- end -}}
{{- end -}}

{{/* The role that clients call. */}}
{{- define "braid.edge" -}}
{{- ternary "gateway" "all" .Values.split.enabled -}}
{{- end -}}

{{/* What a pod of the role serves with, of (dict "root" $ "role" ROLE). */}}
{{- define "braid.tlsSecret" -}}
{{- $tls := .root.Values.tls.secretName -}}
{{- if has .role (list "retrieval" "generation") -}}
{{- default $tls .root.Values.split.tls.secretName -}}
{{- else -}}
{{- $tls -}}
{{- end -}}
{{- end -}}
