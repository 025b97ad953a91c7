{{- /* "retrainer.checkName" (list WHERE NAME): fail unless NAME is a DNS label that starts with a letter, of at most 50 characters: what a Service and its derived names take. */}}
{{- define "retrainer.checkName" -}}
{{- $name := index . 1 }}
{{- if or (gt (len $name) 50) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name)) }}
{{- $better := regexReplaceAll "[^a-z0-9]+" (lower $name) "-" | trimAll "-" }}
{{- $better = ternary $better (printf "r-%s" $better) (regexMatch "^[a-z]" $better) | trunc 50 | trimSuffix "-" }}
{{- fail (printf "%s: %q: Kubernetes accepts small letters, digits and `-`, a letter first, here at most 50 characters; write %q" (first .) $name $better) }}
{{- end }}
{{- end }}

{{- /* "retrainer.checkObject" (list WHERE NAME LENGTH): fail unless NAME is one that an existing object can have; without dots if LENGTH is 63. */}}
{{- define "retrainer.checkObject" -}}
{{- $name := index . 1 }}{{ $length := index . 2 }}
{{- $label := "[a-z0-9]([-a-z0-9]*[a-z0-9])?" }}
{{- $pattern := ternary (printf "^%s$" $label) (printf "^%s(\\.%s)*$" $label $label) (eq (int $length) 63) }}
{{- if or (gt (len $name) (int $length)) (not (regexMatch $pattern $name)) }}
{{- $may := ternary "small letters, digits and `-`" "small letters, digits, `-` and single dots" (eq (int $length) 63) }}
{{- $better := regexReplaceAll (ternary "[^a-z0-9]+" "[^a-z0-9.]+" (eq (int $length) 63)) (lower $name) "-" }}
{{- $better = regexReplaceAll "[-.]*\\.[-.]*" $better "." | trimAll "-." | trunc (int $length) | trimAll "-." }}
{{- fail (printf "%s: %q: Kubernetes accepts %s, a letter or digit at both ends, at most %d characters; write the name as `kubectl get` shows it, such as %q" (first .) $name $may (int $length) $better) }}
{{- end }}
{{- end }}

{{- /* Names that the API server would refuse, with what to write instead. */}}
{{- define "retrainer.checkNames" -}}
{{- with .Values.nameOverride }}{{ include "retrainer.checkName" (list "nameOverride" .) }}{{ end }}
{{- if .Values.fullnameOverride }}
{{- include "retrainer.checkName" (list "fullnameOverride" .Values.fullnameOverride) }}
{{- else }}
{{- include "retrainer.checkName" (list "fullnameOverride: the name of the release gives" (include "retrainer.fullname" .)) }}
{{- end }}
{{- range $key := list "imagePullSecrets" "rulesConfigMaps" }}
{{- range $name, $wanted := get $.Values $key | default dict }}{{ include "retrainer.checkObject" (list (printf "%s.%s" $key $name) $name 253) }}{{ end }}
{{- end }}
{{- range $path := list "apiToken.existingSecret" "tls.existingSecret" "postgresql.existingSecret" "persistence.existingClaim" "persistence.storageClass" "serviceAccount.name" "backup.serviceAccountName" "backup.claim" "ingress.ingressClassName" }}
{{- $parts := splitList "." $path }}
{{- with get (get $.Values (first $parts)) (last $parts) }}{{ include "retrainer.checkObject" (list $path . 253) }}{{ end }}
{{- end }}
{{- range $name, $token := .Values.apiTokens }}
{{- if $token }}{{ include "retrainer.checkObject" (list (printf "apiTokens.%s.existingSecret" $name) $token.existingSecret 253) }}{{ end }}
{{- end }}
{{- range $key := list "priorityClassName" "runtimeClassName" }}
{{- with get $.Values $key }}{{ include "retrainer.checkObject" (list $key . 253) }}{{ end }}
{{- end }}
{{- range $secret, $hosts := .Values.ingress.tls }}{{ include "retrainer.checkObject" (list (printf "ingress.tls.%s" $secret) $secret 253) }}{{ end }}
{{- range $name, $options := .Values.watchedNamespaces }}{{ include "retrainer.checkObject" (list (printf "watchedNamespaces.%s" $name) $name 63) }}{{ end }}
{{- $taken := concat (list "settings" "rules" "token" "tokens" "tls" "postgresql" "data" "tmp" "scratch" "backup") (include "retrainer.ruleVolumes" . | fromJson | values) }}
{{- range $name, $volume := .Values.extraVolumes }}
{{- include "retrainer.checkObject" (list (printf "extraVolumes.%s" $name) $name 63) }}
{{- if has $name $taken }}
{{- fail (printf "extraVolumes.%s: the chart has a volume of this name; write extra-%s" $name $name) }}
{{- end }}
{{- end }}
{{- if hasKey (.Values.rulesConfigMaps | default dict) "chart" }}
{{- fail "rulesConfigMaps.chart: the folder of that name holds the chart's own rules; give the ConfigMap another name" }}
{{- end }}
{{- end }}

{{- /* What the schema cannot see. */}}
{{- define "retrainer.check" -}}
{{- include "retrainer.checkNames" . }}
{{- $names := keys (.Values.watchedNamespaces | default dict) | sortAlpha | default (list .Release.Namespace) }}
{{- with .Values.defaultNamespace }}
{{- if not (has . $names) }}
{{- fail (printf "defaultNamespace: %q is not among watchedNamespaces (%s); add it there" . (join ", " $names)) }}
{{- end }}
{{- end }}
{{- $settings := .Values.settings | default dict }}
{{- range list "version" "name" "engine" "rules" "config_maps" }}
{{- if hasKey $settings . }}
{{- fail (printf "settings.%s is made from the chart's own values; use those" .) }}
{{- end }}
{{- end }}
{{- range list "host" "port" "token" "tls" }}
{{- if hasKey ($settings.http | default dict) . }}
{{- fail (printf "settings.http.%s is made from the chart's own values; use those" .) }}
{{- end }}
{{- end }}
{{- if and (hasKey ($settings.http | default dict) "tokens") (include "retrainer.apiTokens" . | fromJsonArray) }}
{{- fail "settings.http.tokens: apiTokens makes this list; name all tokens there, or all here" }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "podMonitor.enabled: with serviceMonitor.enabled too, everything would be scraped twice; turn one off" }}
{{- end }}
{{- range $name, $container := .Values.extraContainers }}
{{- include "retrainer.checkObject" (list (printf "extraContainers.%s" $name) $name 63) }}
{{- if eq $name "retrainer" }}
{{- fail "extraContainers.retrainer: the container of the daemon has this name; give it another name" }}
{{- end }}
{{- end }}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.postgresql.url) }}
{{- fail "replicaCount: SQLite is for one replica; set postgresql.url for more" }}
{{- end }}
{{- if not (or .Values.apiToken.create .Values.apiToken.existingSecret) }}
{{- fail "apiToken: the API needs a token beyond loopback; name its Secret in apiToken.existingSecret, or let one be made with apiToken.create" }}
{{- end }}
{{- with dig "store" "ledger_max_size" "" $settings }}
{{- $limit := include "retrainer.bytes" . | int64 }}
{{- /* With backups, a copy of the store is made beside it. */}}
{{- $stores := ternary 2 1 ($.Values.backup.enabled | default false) }}
{{- if and (include "retrainer.sizedStore" $) (gt (mul $limit 6 $stores) (mul (include "retrainer.bytes" $.Values.persistence.size | int64) 5)) }}
{{- $free := ternary "no space on the volume for the copy of a backup" "less than a sixth of the volume free" (eq $stores 2) }}
{{- $share := ternary "two fifths" "four fifths" (eq $stores 2) }}
{{- fail (printf "settings.store.ledger_max_size: %v leaves %s; write persistence.size: %dGi, or leave ledger_max_size out: it is %s of the volume" . $free (add1 (div (mul $limit 5 $stores) 4294967296)) $share) }}
{{- end }}
{{- end }}
{{- if .Values.backup.enabled }}
{{- if hasKey ($settings.store | default dict) "max_backup_age" }}
{{- fail "settings.store.max_backup_age is made from backup.maxAge; use that" }}
{{- end }}
{{- if not (or .Values.backup.s3.url .Values.backup.claim) }}
{{- fail "backup.enabled: say where backups go: a bucket, backup.s3.url: s3://backups/retrainer, or a claim for them, backup.claim: retrainer-backups" }}
{{- end }}
{{- if and .Values.backup.s3.url .Values.backup.claim }}
{{- fail "backup.claim: with backup.s3.url, backups go to the bucket; set one of them" }}
{{- end }}
{{- if and .Values.backup.s3.kmsKey (not .Values.backup.s3.sse) }}
{{- fail "backup.s3.kmsKey: has no effect without backup.s3.sse; write sse: aws:kms" }}
{{- end }}
{{- end }}
{{- end }}
