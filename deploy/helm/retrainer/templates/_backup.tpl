{{- /* Name of the CronJob: Kubernetes adds eleven characters to that of a CronJob, for 63 together. */}}
{{- define "retrainer.backupName" -}}
{{- printf "%s-backup" (include "retrainer.fullname" . | trunc 45 | trimSuffix "-") }}
{{- end }}

{{- /* Labels of the pods that make backups. Not those of the daemon: they must not get its requests. */}}
{{- define "retrainer.backupSelector" -}}
app.kubernetes.io/name: {{ include "retrainer.name" . }}-backup
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Resources and security context of a container of the job. The dump counts as ephemeral storage. */}}
{{- define "retrainer.backupLimits" -}}
{{- with include "retrainer.resourcesAnd" (list .Values.backup.resources (ternary .Values.backup.scratchSize "" (not (empty .Values.postgresql.url)))) }}{{ . }}{{ end }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Those of `extraVolumes` that any pod may mount, such as a Secret with an authority of PostgreSQL, as JSON. */}}
{{- define "retrainer.backupVolumes" -}}
{{- $found := dict }}
{{- range $name, $extra := .Values.extraVolumes }}
{{- if and $extra.mount (or $extra.volume.secret $extra.volume.configMap $extra.volume.projected) }}{{ $_ := set $found $name $extra }}{{ end }}
{{- end }}
{{- $found | toJson }}
{{- end }}

{{- define "retrainer.backupMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- range $name, $extra := include "retrainer.backupVolumes" . | fromJson }}
- name: {{ $name }}
  {{- toYaml $extra.mount | nindent 2 }}
{{- end }}
{{- end }}

{{- /* `postgresql.url` for libpq: it writes several hosts as `host=a,b&port=1,2`, and SQLAlchemy also as `host=a:1&host=b:2`. */}}
{{- define "retrainer.libpq" -}}
{{- $url := .Values.postgresql.url | replace "postgresql+psycopg://" "postgresql://" }}
{{- $found := regexFindAll "[?&]host=[^&]+" $url -1 }}
{{- if or (gt (len $found) 1) (contains ":" (join "" $found)) }}
{{- $hosts := list }}{{ $ports := list }}
{{- range $found }}
{{- $parts := splitList ":" (regexReplaceAll "^[?&]host=" . "") }}
{{- $hosts = append $hosts (first $parts) }}
{{- $ports = append $ports (ternary (last $parts) "5432" (gt (len $parts) 1)) }}
{{- end }}
{{- $rest := regexReplaceAll "[?&]host=[^&]+" $url "" }}
{{- $path := regexFind "^[^?&]+" $rest }}
{{- $query := trimPrefix $path $rest | trimAll "?&" }}
{{- printf "%s?host=%s&port=%s%s" $path (join "," $hosts) (join "," $ports) (ternary "" (printf "&%s" $query) (empty $query)) }}
{{- else }}
{{- $url }}
{{- end }}
{{- end }}
