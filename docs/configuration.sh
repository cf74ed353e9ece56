#!/bin/sh
# Prints docs/configuration.md from what each program says about its own settings.
# Usage: sh docs/configuration.sh DIRECTORY_OF_THE_PROGRAMS > docs/configuration.md
set -eu

programs=${1:?give the directory of the programs, such as target/debug}

section() {
    printf '\n## %s\n\n%s\n\n' "$1" "$2"
    # The substitution drops the line ends that programs print more or less of.
    table=$("$programs/$1" --settings)
    printf '%s\n' "$table"
}

cat <<'EOF'
# Configuration

Every program is configured by environment variables; an empty variable counts as absent. `wegweiser-agent` reads a file besides, which `wegweiser-agent config print-default` documents: a variable stands above it ([agent.md](agent.md)). A program that finds mistakes names all of them, with setting, value and remedy, and exits with code 64. Secrets come in files, never on the command line.

This page is written by `make docs-config` from what `<program> --settings` prints; a test checks that they agree.
EOF
section wegweiser 'What an operator types. Each verb reads only what it needs; it logs nothing unless `WEGWEISER_LOG` is set.'
section wegweiser-receiver 'Run any number of replicas with the same settings.'
section wegweiser-web 'The HTTP API. `METRICS_MAX_POINTS` must be the same as the receivers have.'
section wegweiser-agent 'One process a device.'
