{{- /* Every template includes this first. An entry that a later values file sets to null is as if it had never been there. */}}
{{- define "retrainer.prepare" -}}
{{- range $key := list "ingressFrom" "dnsTo" "apiServerTo" "postgresqlTo" }}
{{- $peers := get $.Values.networkPolicy $key }}
{{- /* An empty list of peers means everyone: taking out the last peer must not open the policy. */}}
{{- if and $peers (not (without (values $peers) nil)) }}
{{- fail (printf "networkPolicy.%s: every entry is null, and a list without peers lets everyone through; write `%s: null` if you want that" $key $key) }}
{{- end }}
{{- end }}
{{- include "retrainer.withoutNulls" (omit .Values "extraObjects") }}
{{- range $key, $value := .Values }}
{{- if kindIs "invalid" $value }}{{ $_ := unset $.Values $key }}{{ end }}
{{- end }}
{{- end }}

{{- /* Removes from a map, and from the maps in it, the keys that are null. Lists stay as they are. */}}
{{- define "retrainer.withoutNulls" -}}
{{- $map := . }}
{{- range $key, $value := $map }}
{{- if kindIs "invalid" $value }}{{ $_ := unset $map $key }}
{{- else if kindIs "map" $value }}{{ include "retrainer.withoutNulls" $value }}
{{- end }}
{{- end }}
{{- end }}

{{- define "retrainer.name" -}}
{{- default .Chart.Name .Values.nameOverride }}
{{- end }}

{{- define "retrainer.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
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

{{- /* "retrainer.labels" (list $ MAP...): the chart's labels, those of every object, and these. The chart's own cannot be replaced. */}}
{{- define "retrainer.labels" -}}
{{- $root := first . }}
{{- $all := deepCopy ($root.Values.commonLabels | default dict) }}
{{- range rest . }}{{ $all = merge (deepCopy (. | default dict)) $all }}{{ end }}
{{- $own := include "retrainer.selector" $root | fromYaml }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63) }}
{{- $_ := set $own "app.kubernetes.io/version" $root.Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/managed-by" $root.Release.Service }}
{{- merge $own $all | toYaml }}
{{- end }}

{{- /* "retrainer.annotations" (list $ MAP...): those of every object and these, with their heading; nothing if there are none. */}}
{{- define "retrainer.annotations" -}}
{{- $all := deepCopy ((first .).Values.commonAnnotations | default dict) }}
{{- range rest . }}{{ $all = merge (deepCopy (. | default dict)) $all }}{{ end }}
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
{{- $names := list }}
{{- range $name, $wanted := .Values.imagePullSecrets }}{{ if $wanted }}{{ $names = append $names (dict "name" $name) }}{{ end }}{{ end }}
{{- with $names -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "retrainer.tokenSecret" -}}
{{- default (printf "%s-token" (include "retrainer.fullname" .)) .Values.apiToken.existingSecret }}
{{- end }}

{{- define "retrainer.serverName" -}}
{{- default (printf "%s.%s.svc" (include "retrainer.fullname" .) .Release.Namespace) .Values.tls.serverName }}
{{- end }}

{{- /* The probe with this name, over TLS if that is served. */}}
{{- define "retrainer.probe" -}}
{{- $probe := deepCopy (get (first .).Values (last .)) }}
{{- if and (first .).Values.tls.existingSecret (hasKey $probe "httpGet") }}
{{- $_ := set $probe "httpGet" (merge (get $probe "httpGet") (dict "scheme" "HTTPS")) }}
{{- end }}
{{- toYaml $probe }}
{{- end }}

{{- /* `http.tls` of the settings. */}}
{{- define "retrainer.tls" -}}
{{- $tls := dict "certificate" "/secrets/tls/tls.crt" "key" "/secrets/tls/tls.key" "replica_name" (include "retrainer.serverName" .) }}
{{- if .Values.tls.authorities }}{{ $_ := set $tls "replica_authorities" "/secrets/tls/authorities.crt" }}{{ end }}
{{- if .Values.tls.clientAuthorities }}{{ $_ := set $tls "client_authorities" "/secrets/tls/clients.crt" }}{{ end }}
{{- $tls | toJson }}
{{- end }}

{{- /* "retrainer.scheme" (list $ MONITOR): how a monitor reaches `/metrics` over TLS, unless its values say so. */}}
{{- define "retrainer.scheme" -}}
{{- $root := first . }}{{ $monitor := last . }}
{{- with $root.Values.tls }}
{{- if .existingSecret -}}
scheme: https
tlsConfig:
  {{- $config := dict "serverName" (include "retrainer.serverName" $root) }}
  {{- if .authorities }}{{ $_ := set $config "ca" (dict "secret" (dict "name" .existingSecret "key" .authorities)) }}{{ end }}
  {{- if .clientAuthorities }}
  {{- $_ := set $config "cert" (dict "secret" (dict "name" .existingSecret "key" .certificate)) }}
  {{- $_ := set $config "keySecret" (dict "name" .existingSecret "key" .key) }}
  {{- end }}
  {{- mergeOverwrite $config (deepCopy ($monitor.tlsConfig | default dict)) | toYaml | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Names of the watched namespaces as JSON, the default one first. */}}
{{- define "retrainer.namespaces" -}}
{{- $names := keys (.Values.watchedNamespaces | default dict) | sortAlpha | default (list .Release.Namespace) }}
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

{{- /* The platform's ConfigMaps of rules as JSON: name of the volume by name of the ConfigMap. A volume's name has no dots and at most 63 characters. */}}
{{- define "retrainer.ruleVolumes" -}}
{{- $found := dict }}
{{- range $name, $wanted := .Values.rulesConfigMaps }}
{{- if $wanted }}
{{- $plain := and (not (contains "." $name)) (le (len $name) 50) }}
{{- $_ := set $found $name (ternary (printf "rules-%s" $name) (printf "rules-%s-%s" ($name | replace "." "-" | trunc 40 | trimSuffix "-") ($name | sha256sum | trunc 8)) $plain) }}
{{- end }}
{{- end }}
{{- $found | toJson }}
{{- end }}

{{- /* Whether the store is a SQLite file on a volume that the chart creates, or that lives as long as the pod: "yes" or nothing. */}}
{{- define "retrainer.sizedStore" -}}
{{- if not (or .Values.postgresql.url (and .Values.persistence.enabled .Values.persistence.existingClaim)) }}yes{{ end }}
{{- end }}

{{- /* A quantity of Kubernetes (10Gi) or a size of retrainer (10GiB), in bytes. */}}
{{- define "retrainer.bytes" -}}
{{- $unit := regexFind "[A-Za-z]*$" (toString .) | trimSuffix "B" | upper | replace "I" "i" }}
{{- $factors := dict "" 1 "K" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 }}
{{- mulf (regexFind "^[0-9.]+" (toString .) | float64) (get $factors $unit | default 1 | float64) | int64 }}
{{- end }}

{{- /* `to` of an egress rule with the peers of a map; nothing without peers, which is every address. */}}
{{- define "retrainer.to" -}}
{{- with . -}}
to:
  {{- include "retrainer.list" . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The values of a map as a list of YAML, in the order of their names. */}}
{{- define "retrainer.list" -}}
{{- $list := list }}
{{- range $name, $value := . }}{{ $list = append $list $value }}{{ end }}
{{- toYaml $list }}
{{- end }}

{{- /* "retrainer.wanted" (list WHERE MAP EXAMPLE): the names of a map whose value is true, as JSON. Fails if there are none. */}}
{{- define "retrainer.wanted" -}}
{{- $names := list }}
{{- range $name, $wanted := index . 1 }}{{ if $wanted }}{{ $names = append $names $name }}{{ end }}{{ end }}
{{- if not $names }}
{{- fail (printf "%s: name at least one, such as %s" (first .) (last .)) }}
{{- end }}
{{- $names | toJson }}
{{- end }}

{{- /* How an endpoint is scraped, by the values of a ServiceMonitor or PodMonitor. */}}
{{- define "retrainer.scrape" -}}
interval: {{ .interval }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- if .honorLabels }}
honorLabels: true
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* "retrainer.container" (list $ CONTAINER): an extra container, with the chart's security context where it says nothing else: the pod stays "restricted". */}}
{{- define "retrainer.container" -}}
{{- $container := deepCopy (last .) }}
{{- $context := deepCopy ((first .).Values.securityContext | default dict) }}
{{- /* Not by `merge`, which takes false for nothing. */}}
{{- range $key, $value := get $container "securityContext" | default dict }}{{ $_ := set $context $key $value }}{{ end }}
{{- set $container "securityContext" $context | list | toYaml }}
{{- end }}

{{- /* Constraints that spread the pods: those of the values, on the pods of this release if they select none; else over nodes and zones, if possible. */}}
{{- define "retrainer.spread" -}}
{{- $selector := dict "labelSelector" (dict "matchLabels" (include "retrainer.selector" . | fromYaml)) }}
{{- $constraints := .Values.topologySpreadConstraints }}
{{- if and (not $constraints) (gt (int .Values.replicaCount) 1) }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
{{- $constraints = append ($constraints | default list) (dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway" "matchLabelKeys" (list "pod-template-hash")) }}
{{- end }}
{{- end }}
{{- $filled := list }}
{{- range $constraints }}{{ $filled = append $filled (merge (deepCopy .) (ternary dict $selector (hasKey . "labelSelector"))) }}{{ end }}
{{- with $filled -}}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Resources of the container. A store that lives as long as the pod counts as ephemeral storage: the limit is larger by its size. */}}
{{- define "retrainer.resources" -}}
{{- include "retrainer.resourcesAnd" (list .Values.resources (ternary "" .Values.persistence.size (or .Values.persistence.enabled (not (empty .Values.postgresql.url))))) }}
{{- end }}

{{- /* "retrainer.resourcesAnd" (list RESOURCES QUANTITY): the resources, with a limit of ephemeral storage that is larger by this quantity. */}}
{{- define "retrainer.resourcesAnd" -}}
{{- $resources := deepCopy (first . | default dict) }}
{{- $limits := get $resources "limits" | default dict }}
{{- if and (last .) (hasKey $limits "ephemeral-storage") }}
{{- $bytes := add (include "retrainer.bytes" (get $limits "ephemeral-storage")) (include "retrainer.bytes" (last .)) }}
{{- $_ := set $limits "ephemeral-storage" (printf "%dMi" (div $bytes 1048576)) }}
{{- end }}
{{- with $resources -}}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Egress rule for DNS. */}}
{{- define "retrainer.dnsEgress" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
  {{- with include "retrainer.to" .Values.networkPolicy.dnsTo }}{{ nindent 2 . }}{{ end }}
{{- end }}

{{- /* Egress rule for PostgreSQL. */}}
{{- define "retrainer.postgresqlEgress" -}}
{{- $ports := list }}
{{- /* Colons within [] are those of an IPv6 address. */}}
{{- range regexFindAll "(:|[?&]port=)[0-9]+" (regexReplaceAll "\\[[^]]*\\]" .Values.postgresql.url "") -1 | default (list ":5432") | uniq }}
{{- $ports = append $ports (dict "port" (regexFind "[0-9]+$" . | int) "protocol" "TCP") }}
{{- end }}
- ports:
    {{- toYaml $ports | nindent 4 }}
  {{- with include "retrainer.to" .Values.networkPolicy.postgresqlTo }}{{ nindent 2 . }}{{ end }}
{{- end }}

{{- /* Egress rules for DNS and the API server. A rule without ports would allow all of them, so there is none without ports. */}}
{{- define "retrainer.clusterEgress" -}}
{{- include "retrainer.dnsEgress" . }}
{{- with values (.Values.networkPolicy.apiServerPorts | default dict) }}
- ports:
    {{- range sortAlpha . | uniq }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with include "retrainer.to" $.Values.networkPolicy.apiServerTo }}{{ nindent 2 . }}{{ end }}
{{- end }}
{{- end }}

{{- /* The address of the daemon for browsers, without a slash at its end; empty if `settings` has none. */}}
{{- define "retrainer.externalUrl" -}}
{{- dig "http" "external_url" "" (.Values.settings | default dict) | trimSuffix "/" }}
{{- end }}

{{- /* `http.tokens` of the settings, as JSON. */}}
{{- define "retrainer.apiTokens" -}}
{{- $tokens := list }}
{{- range $name, $token := .Values.apiTokens }}
{{- if $token }}
{{- $entry := dict "name" $name "token" (dict "from_file" (printf "/secrets/tokens/%s" $name)) "namespaces" $token.namespaces "verbs" ($token.verbs | default (list "read")) }}
{{- with $token.users }}{{ $_ := set $entry "users" . }}{{ end }}
{{- $tokens = append $tokens $entry }}
{{- end }}
{{- end }}
{{- $tokens | toJson }}
{{- end }}

{{- /* The daemon's settings, as JSON. */}}
{{- define "retrainer.settings" -}}
{{- $engine := dict "type" "argo" "namespaces" (include "retrainer.namespaces" . | fromJsonArray) }}
{{- with .Values.argoInstanceId }}{{ $_ := set $engine "instance_id" . }}{{ end }}
{{- $store := dict "path" "/var/lib/retrainer/retrainer.db" }}
{{- if .Values.postgresql.url }}
{{- $store = dict "url" .Values.postgresql.url }}
{{- if .Values.postgresql.existingSecret }}{{ $_ := set $store "password" (dict "from_file" "/secrets/postgresql/password") }}{{ end }}
{{- else if include "retrainer.sizedStore" . }}
{{- /* A fifth of the volume stays free: for the write-ahead log, for migrations, and so that RetrainerStoreNearlyFull does not fire for ever. */}}
{{- /* With backups it is three fifths, because a copy of the store is made beside it. */}}
{{- $share := ternary 0.4 0.8 (.Values.backup.enabled | default false) }}
{{- $_ := set $store "ledger_max_size" (printf "%dMiB" (div (mulf (include "retrainer.bytes" .Values.persistence.size | float64) $share | int64) 1048576 | max 1)) }}
{{- end }}
{{- if .Values.backup.enabled }}{{ $_ := set $store "max_backup_age" .Values.backup.maxAge }}{{ end }}
{{- $http := dict "host" "0.0.0.0" "port" 8080 "token" (dict "from_file" "/secrets/api/token") }}
{{- if .Values.tls.existingSecret }}{{ $_ := set $http "tls" (include "retrainer.tls" . | fromJson) }}{{ end }}
{{- with include "retrainer.apiTokens" . | fromJsonArray }}{{ $_ := set $http "tokens" . }}{{ end }}
{{- $base := dict "version" 1 "name" (include "retrainer.instance" .) "rules" (list "/etc/retrainer/rules") "engine" $engine "store" $store "http" $http "log" .Values.log }}
{{- with include "retrainer.ruleNamespaces" . | fromJsonArray }}{{ $_ := set $base "config_maps" (dict "namespaces" .) }}{{ end }}
{{- mergeOverwrite $base (deepCopy (.Values.settings | default dict)) | toJson }}
{{- end }}
