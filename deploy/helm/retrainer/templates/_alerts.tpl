{{- /* The groups of monitoring/alerts.yaml as YAML, with what prometheusRule says about each alert. */}}
{{- define "retrainer.alertGroups" -}}
{{- $values := .Values.prometheusRule }}
{{- $tunings := $values.alerts | default dict }}
{{- $pages := trimSuffix "/" $values.runbooks }}
{{- $outside := include "retrainer.externalUrl" . }}
{{- $file := .Files.Get "monitoring/alerts.yaml" | fromYaml }}
{{- $names := list }}{{ $groups := list }}
{{- range $group := $file.groups }}
{{- $rules := list }}
{{- range $rule := $group.rules }}
{{- $_ := set $rule "expr" (include "retrainer.selected" (list $rule.expr ($values.matchers | default dict))) }}
{{- $tuning := dict }}
{{- if $rule.alert }}
{{- $names = append $names $rule.alert }}
{{- $tuning = get $tunings $rule.alert | default dict }}
{{- $_ := set $rule.annotations "page" (printf "%s%s" $outside $rule.annotations.page) }}
{{- with $pages }}{{ $_ := set $rule.annotations "runbook_url" (printf "%s/%s.md" . $rule.alert) }}{{ end }}
{{- include "retrainer.tune" (list $rule $tuning ($values.alertLabels | default dict)) }}
{{- end }}
{{- if dig "enabled" true $tuning }}{{ $rules = append $rules $rule }}{{ end }}
{{- end }}
{{- if $rules }}{{ $groups = append $groups (dict "name" $group.name "rules" $rules) }}{{ end }}
{{- end }}
{{- range $name, $tuning := $tunings }}
{{- if not (has $name $names) }}
{{- fail (printf "prometheusRule.alerts.%s: there is no such alert; there are %s" $name (join ", " $names)) }}
{{- end }}
{{- end }}
{{- toYaml $groups }}
{{- end }}

{{- /* "retrainer.tune" (list RULE TUNING LABELS): change the alert in place. */}}
{{- define "retrainer.tune" -}}
{{- $rule := index . 0 }}{{ $tuning := index . 1 }}
{{- if hasKey $tuning "threshold" }}
{{- if not (contains "# threshold" $rule.expr) }}
{{- fail (printf "prometheusRule.alerts.%s.threshold: this alert has none" $rule.alert) }}
{{- end }}
{{- $_ := set $rule "expr" (regexReplaceAll "[0-9.]+  # threshold" $rule.expr (printf "%v  # threshold" $tuning.threshold)) }}
{{- end }}
{{- with $tuning.for }}{{ $_ := set $rule "for" . }}{{ end }}
{{- with $tuning.severity }}{{ $_ := set $rule.labels "severity" . }}{{ end }}
{{- $labels := merge (deepCopy ($tuning.labels | default dict)) $rule.labels (index . 2) }}
{{- range $name := keys $labels }}
{{- if not (regexMatch "^[a-zA-Z_][a-zA-Z0-9_]*$" $name) }}
{{- fail (printf "prometheusRule: %q is no name of a label of Prometheus: letters, digits and _; write %q" $name (regexReplaceAll "[^a-zA-Z0-9_]" $name "_")) }}
{{- end }}
{{- end }}
{{- $_ := set $rule "labels" $labels }}
{{- end }}

{{- /* "retrainer.selected" (list EXPRESSION MATCHERS): the expression, with the matchers on each of its series. */}}
{{- define "retrainer.selected" -}}
{{- $expr := first . }}
{{- $matchers := list }}
{{- range $label, $value := index . 1 }}
{{- if not (has $label (list "cluster" "namespace" "job")) }}
{{- fail (printf "prometheusRule.matchers.%s: recorded series have the labels cluster, namespace and job; use those" $label) }}
{{- end }}
{{- $matchers = append $matchers (printf "%s=%q" $label $value) }}{{ end }}
{{- if $matchers }}
{{- $all := join ", " $matchers }}
{{- $series := "\\b(job:retrainer_\\w+:\\w+|retrainer_\\w+|process_start_time_seconds|up)" }}
{{- $expr = regexReplaceAll (printf "%s\\{" $series) $expr (printf "${1}{%s, " $all) }}
{{- $expr = regexReplaceAll (printf "%s([^\\w{:(])" $series) $expr (printf "${1}{%s}${2}" $all) }}
{{- $expr = replace "{__name__" (printf "{%s, __name__" $all) $expr }}
{{- end }}
{{- $expr }}
{{- end }}
