{{- define "retrainer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "retrainer.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "retrainer.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "retrainer.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "retrainer.instance" -}}
{{- default (include "retrainer.fullname" .) .Values.instance }}
{{- end }}

{{- define "retrainer.selector" -}}
app.kubernetes.io/name: {{ include "retrainer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "retrainer.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "retrainer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* "retrainer.annotations" (list $ MAP...): those of every object and these, with their heading; nothing if there are none. */}}
{{- define "retrainer.annotations" -}}
{{- $all := deepCopy (first .).Values.commonAnnotations }}
{{- range rest . }}{{ $all = merge (deepCopy .) $all }}{{ end }}
{{- with $all -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "retrainer.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "retrainer.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: name the service account to use, or let one be made with serviceAccount.create" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "retrainer.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "retrainer.pullSecrets" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets:
  {{- range $name, $wanted := . }}
  {{- if $wanted }}
  - name: {{ $name }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "retrainer.tokenSecret" -}}
{{- default (printf "%s-token" (include "retrainer.fullname" .)) .Values.apiToken.existingSecret }}
{{- end }}

{{- /* Names of the watched namespaces as JSON, the default one first. */}}
{{- define "retrainer.namespaces" -}}
{{- $names := keys .Values.watchedNamespaces | sortAlpha | default (list .Release.Namespace) }}
{{- $own := ternary .Release.Namespace (first $names) (has .Release.Namespace $names) }}
{{- $first := default $own .Values.defaultNamespace }}
{{- prepend (without $names $first) $first | toJson }}
{{- end }}

{{- /* Namespaces whose labelled ConfigMaps hold rules, as JSON. */}}
{{- define "retrainer.ruleNamespaces" -}}
{{- $found := list }}
{{- range $name, $options := .Values.watchedNamespaces }}
{{- if $options.rules }}{{ $found = append $found $name }}{{ end }}
{{- end }}
{{- $found | toJson }}
{{- end }}

{{- /* The daemon's settings, as JSON. */}}
{{- define "retrainer.settings" -}}
{{- $engine := dict "type" "argo" "namespaces" (include "retrainer.namespaces" . | fromJsonArray) }}
{{- with .Values.argoInstanceId }}{{ $_ := set $engine "instance_id" . }}{{ end }}
{{- $store := dict "path" "/var/lib/retrainer/retrainer.db" }}
{{- if .Values.postgresql.url }}
{{- $store = dict "url" .Values.postgresql.url }}
{{- if .Values.postgresql.existingSecret }}{{ $_ := set $store "password" (dict "from_file" "/secrets/postgresql/password") }}{{ end }}
{{- end }}
{{- $http := dict "host" "0.0.0.0" "port" 8080 "token" (dict "from_file" "/secrets/api/token") }}
{{- $base := dict "version" 1 "name" (include "retrainer.instance" .) "rules" (list "/etc/retrainer/rules") "engine" $engine "store" $store "http" $http }}
{{- with include "retrainer.ruleNamespaces" . | fromJsonArray }}{{ $_ := set $base "config_maps" (dict "namespaces" .) }}{{ end }}
{{- mergeOverwrite $base (deepCopy .Values.settings) | toJson }}
{{- end }}

{{- /* What the schema cannot see. */}}
{{- define "retrainer.check" -}}
{{- $names := keys .Values.watchedNamespaces | sortAlpha | default (list .Release.Namespace) }}
{{- with .Values.defaultNamespace }}
{{- if not (has . $names) }}
{{- fail (printf "defaultNamespace: %q is not among watchedNamespaces (%s); add it there" . (join ", " $names)) }}
{{- end }}
{{- end }}
{{- range list "version" "name" "engine" "rules" "http" "config_maps" }}
{{- if hasKey $.Values.settings . }}
{{- fail (printf "settings.%s is made from the chart's own values; use those" .) }}
{{- end }}
{{- end }}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.postgresql.url) }}
{{- fail "replicaCount: SQLite is for one replica; set postgresql.url for more" }}
{{- end }}
{{- if not (or .Values.apiToken.create .Values.apiToken.existingSecret) }}
{{- fail "apiToken: the API needs a token beyond loopback; name its Secret in apiToken.existingSecret, or let one be made with apiToken.create" }}
{{- end }}
{{- if hasKey .Values.rulesConfigMaps "chart" }}
{{- fail "rulesConfigMaps.chart: the folder of that name holds the chart's own rules; give the ConfigMap another name" }}
{{- end }}
{{- end }}
