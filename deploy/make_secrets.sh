#!/usr/bin/env sh
# The secrets that compose.yaml asks for, made once and kept. Those that are there are left as they are.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
secret() {
  [ -e "secrets/$1" ] || head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "secrets/$1"
  # Read inside the containers by their own users, who are not this one; nobody else reaches the folder.
  chmod 644 "secrets/$1"
}
secret redis_password
secret grafana_password
secret metrics_key
[ -e secrets/tapcut.env ] || (umask 077 && cat > secrets/tapcut.env <<'EOF'
# Settings of the service, one NAME=value a line; README lists them. Without API_KEYS it is open to everybody.
# The monitoring's own key is secrets/metrics_key: API_KEYS=monitoring=<that key>,name=sha256:...
EOF
)
echo "secrets/ is complete"
