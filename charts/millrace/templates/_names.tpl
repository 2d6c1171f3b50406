{{/*
Names are the release's own name plus the part: the programs find each other's Secrets by that prefix (`--release`).
*/}}
{{- define "millrace.operator" -}}{{ .Release.Name }}-operator{{- end }}
{{- define "millrace.gateway" -}}{{ .Release.Name }}-gateway{{- end }}
{{- define "millrace.stores" -}}{{ .Release.Name }}-stores{{- end }}

{{/* Cluster-scoped objects carry the namespace too: two releases of one name may live in two namespaces. */}}
{{- define "millrace.clusterName" -}}{{ .Release.Namespace }}-{{ .Release.Name }}{{- end }}

{{/* The certificate that tenants see. Not `-gateway-tls`: that one is the operator's, for mutual TLS inside. */}}
{{- define "millrace.publicTls" -}}
{{- .Values.gateway.tls.secretName | default (printf "%s-public-tls" .Release.Name) -}}
{{- end }}

{{- define "millrace.pepper" -}}
{{- .Values.gateway.pepperSecretName | default (printf "%s-pepper" .Release.Name) -}}
{{- end }}

{{- define "millrace.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Bytes of a quantity in Mi, Gi or Ti, as the schema has it. */}}
{{- define "millrace.bytes" -}}
{{- $unit := substr (int (sub (len .) 2)) (len .) . -}}
{{- $number := substr 0 (int (sub (len .) 2)) . | int64 -}}
{{- mul $number (get (dict "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776) $unit | int64) -}}
{{- end }}

{{/* The gateway inside the cluster. */}}
{{- define "millrace.gatewayAddress" -}}{{ include "millrace.gateway" . }}.{{ .Release.Namespace }}.svc{{- end }}

{{/* Base of `status.url`. */}}
{{- define "millrace.gatewayUrl" -}}
{{- .Values.gateway.url | default (printf "https://%s" .Values.gateway.domain) -}}
{{- end }}

{{/*
Names in the certificate that the chart makes, as a JSON array. A wildcard stands for one label, and hosts are SERVICE.NAMESPACE.DOMAIN:
so a namespace whose services are to be called by host name needs `*.NAMESPACE.DOMAIN` in gateway.tls.dnsNames.
*/}}
{{- define "millrace.dnsNames" -}}
{{- $gateway := include "millrace.gateway" . -}}
{{- $inside := list $gateway (printf "%s.%s" $gateway .Release.Namespace) (include "millrace.gatewayAddress" .) (printf "%s.%s" (include "millrace.gatewayAddress" .) .Values.clusterDomain) "localhost" -}}
{{- $outside := list .Values.gateway.domain (printf "*.%s" .Values.gateway.domain) -}}
{{- $url := urlParse (include "millrace.gatewayUrl" .) -}}
{{- $host := regexReplaceAll ":[0-9]+$" $url.host "" -}}
{{- if not (regexMatch "^([0-9.]+|\\[.*\\])$" $host) -}}{{- $outside = append $outside $host -}}{{- end -}}
{{- concat $inside $outside .Values.gateway.tls.dnsNames | uniq | toJson -}}
{{- end }}

{{- define "millrace.ipAddresses" -}}
{{- $host := regexReplaceAll ":[0-9]+$" (urlParse (include "millrace.gatewayUrl" .)).host "" -}}
{{- $outside := ternary (list $host) (list) (regexMatch "^[0-9.]+$" $host) -}}
{{- concat (list "127.0.0.1") $outside .Values.gateway.tls.ipAddresses | uniq | toJson -}}
{{- end }}
