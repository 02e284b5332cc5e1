#!/usr/bin/env bash
# verify.sh KEY HEADERS BODY: whether the file BODY, the bytes as they came, bears signatures by KEY. HEADERS is a file with
# a `Name: value` in each line. Everybody on the machine can see the key among the arguments while this runs.
set -euo pipefail
key=$1 headers=$2 body=$3

header() { sed -n "s/^$1: *//Ip" "$headers" | tr -d '\r'; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
tag() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -binary | openssl base64 -A; }

characters=$(printf %s "$key" | hex)
secret=$characters
[[ $key != whsec_* ]] || secret=$(printf %s "${key#whsec_}" | openssl base64 -d -A | hex)

elements=sha256=$(tag "$characters" <"$body")
standard=v1,$({ printf '%s.%s.' "$(header webhook-id)" "$(header webhook-timestamp)" && cat "$body"; } | tag "$secret")

[[ $(header Elements-Webhook-Signature) == "$elements" ]] && echo "elements: good" || echo "elements: wrong"
[[ " $(header webhook-signature) " == *" $standard "* ]] && echo "standard: good" || echo "standard: wrong"
