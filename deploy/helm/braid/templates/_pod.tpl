{{/* A pod template, of (dict "root" $ "role" ROLE "values" VALUES): VALUES has
     what differs between roles (resources and where the pod may run). */}}
{{- define "braid.pod" -}}
{{- $role := .role -}}
{{- $values := .values -}}
{{- $stores := has $role (list "all" "retrieval") -}}
{{- $edge := eq $role (include "braid.edge" .root) -}}
{{- $tls := include "braid.tlsSecret" . -}}
{{- $selector := include "braid.podSelector" . -}}
{{- $config := include "braid.toml" . -}}
{{- $models := and .root.Values.models.existingClaim (ne $role "gateway") -}}
{{- $upstreamCa := and (eq $role "gateway") .root.Values.split.tls.caSecretName -}}
{{- with .root -}}
metadata:
  labels:
    {{- $selector | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # The configuration is read at the start.
    checksum/config: {{ $config | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "braid.fullname" . }}
  automountServiceAccountToken: false
  # Variables such as BRAID_PORT would stand beside Braid's own.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .Values.drain.graceSeconds .Values.drain.closeSeconds }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      # The parser workers lock themselves in further; this lets them.
      type: RuntimeDefault
  {{- if .Values.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range .Values.topologySpread.topologyKeys }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- if $stores }}
          # One pod for each release: those of all releases are spread.
          app.kubernetes.io/name: {{ include "braid.name" $.root }}
          {{- include "braid.component" $ | nindent 10 }}
          {{- else }}
          {{- $selector | nindent 10 }}
          {{- end }}
    {{- end }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: braid
      image: {{ include "braid.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/braid/config/braid.toml]
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      ports:
        - name: grpc
          containerPort: 7410
        - name: health
          containerPort: 7411
        {{- if .Values.metrics.enabled }}
        - name: metrics
          containerPort: 7412
        {{- end }}
        {{- if and .Values.http.enabled $edge }}
        - name: http
          containerPort: 7413
        {{- end }}
      {{- with .Values.probes }}
      startupProbe:
        grpc:
          port: 7411
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: {{ max 1 (div (int .startupSeconds) 5) }}
      readinessProbe:
        grpc:
          port: 7411
        periodSeconds: {{ .readinessPeriodSeconds }}
        timeoutSeconds: 3
        failureThreshold: 2
      livenessProbe:
        grpc:
          port: 7411
        periodSeconds: {{ .livenessPeriodSeconds }}
        timeoutSeconds: 5
        failureThreshold: {{ .livenessFailureThreshold }}
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      volumeMounts:
        {{- if $stores }}
        - name: data
          mountPath: /var/lib/braid
        {{- end }}
        - name: temporary
          mountPath: /tmp
        - name: config
          mountPath: /etc/braid/config
          readOnly: true
        {{- if $models }}
        - name: models
          mountPath: /models
          readOnly: true
        {{- end }}
        {{- if $tls }}
        - name: tls
          mountPath: /etc/braid/tls
          readOnly: true
        {{- end }}
        {{- if .Values.tls.clientCaSecretName }}
        - name: client-ca
          mountPath: /etc/braid/client-ca
          readOnly: true
        {{- end }}
        {{- if $upstreamCa }}
        - name: upstream-ca
          mountPath: /etc/braid/upstream-ca
          readOnly: true
        {{- end }}
        {{- if .Values.auth.accessSecretName }}
        - name: access
          mountPath: /etc/braid/access
          readOnly: true
        {{- end }}
        {{- if .Values.tracing.headersSecretName }}
        - name: otlp
          mountPath: /etc/braid/otlp
          readOnly: true
        {{- end }}
        {{- if .Values.auth.jwksConfigMapName }}
        - name: jwks
          mountPath: /etc/braid/jwks
          readOnly: true
        {{- end }}
  volumes:
    - name: temporary
      emptyDir:
        medium: Memory
        sizeLimit: {{ .Values.temporary.sizeLimit }}
    - name: config
      configMap:
        name: {{ include "braid.fullname" . }}
        items:
          - key: {{ include "braid.configKey" $role }}
            path: braid.toml
    {{- if $models }}
    - name: models
      persistentVolumeClaim:
        claimName: {{ .Values.models.existingClaim }}
        readOnly: true
    {{- end }}
    {{- with $tls }}
    - name: tls
      secret:
        secretName: {{ . }}
        # With fsGroup the pod's group may read it, and nobody else.
        defaultMode: 0440
    {{- end }}
    {{- with .Values.tls.clientCaSecretName }}
    - name: client-ca
      secret:
        secretName: {{ . }}
        defaultMode: 0440
        items:
          - key: ca.crt
            path: ca.crt
    {{- end }}
    {{- with $upstreamCa }}
    - name: upstream-ca
      secret:
        secretName: {{ . }}
        defaultMode: 0440
        items:
          - key: ca.crt
            path: ca.crt
    {{- end }}
    {{- with .Values.tracing.headersSecretName }}
    - name: otlp
      secret:
        secretName: {{ . }}
        defaultMode: 0440
        items:
          - key: headers
            path: headers
    {{- end }}
    {{- with .Values.auth.accessSecretName }}
    - name: access
      secret:
        secretName: {{ . }}
        defaultMode: 0440
        items:
          - key: access.toml
            path: access.toml
    {{- end }}
    {{- with .Values.auth.jwksConfigMapName }}
    - name: jwks
      configMap:
        name: {{ . }}
        items:
          - key: jwks.json
            path: jwks.json
    {{- end }}
{{- end -}}
{{- end -}}
