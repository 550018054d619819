#!/bin/sh
# Makes sure that a container engine answers. Uses the one that does; else, as
# root on Debian or Ubuntu, installs docker.io and starts it; else says what to
# install and exits 5. `stop` ends what `start` has started, and nothing else.
#
#   scripts/engine.sh start | stop
set -u

here=$(cd "$(dirname "$0")" && pwd)
# /run belongs to root, and so does every engine that is started here.
state=/run/jackin-engine
pid_file=$state/pid
log=$state/dockerd.log
socket=/var/run/docker.sock

say() { printf '%s\n' "$*" >&2; }

answers() { node "$here/lib/ping-engine.mjs"; }

wait_for_engine() { # seconds
  left=$1
  while [ "$left" -gt 0 ]; do
    answers && return 0
    sleep 1
    left=$((left - 1))
  done
  return 1
}

give_up() {
  say "engine: $1"
  say "engine: install Docker Engine 20.10 or newer and start it, so that this works: docker version"
  say "engine: on Debian or Ubuntu, as root: apt-get install docker.io mmdebstrap && service docker start"
  exit 5
}

is_debian() {
  [ -r /etc/os-release ] && (. /etc/os-release && case " ${ID:-} ${ID_LIKE:-} " in *" debian "* | *" ubuntu "*) ;; *) exit 1 ;; esac)
}

can_install() { [ "$(id -u)" -eq 0 ] && is_debian && command -v apt-get >/dev/null; }

# Asks only a person: without a terminal on stdin the answer is yes.
agreed() {
  [ -t 0 ] || return 0
  printf 'engine: %s needs to be installed with apt-get. Go on? [Y/n] ' "$*" >&2
  read -r answer || return 1
  case $answer in '' | [Yy]*) return 0 ;; *) return 1 ;; esac
}

install() {
  agreed "$@" || return 1
  say "engine: installing $*"
  export DEBIAN_FRONTEND=noninteractive
  [ -d "$state" ] || (umask 077 && mkdir -p "$state") || return 1
  # An update may fail for one of several sources and still bring what is needed.
  apt-get update -q >"$state/apt.log" 2>&1
  apt-get install -y -q --no-install-recommends "$@" >>"$state/apt.log" 2>&1
}

# The construct is made from Debian's packages where no Debian image can be had.
need_debootstrap() {
  command -v mmdebstrap >/dev/null && return
  node "$here/lib/ping-engine.mjs" debian:trixie && return
  can_install || return
  install mmdebstrap debian-archive-keyring ca-certificates ||
    say "engine: mmdebstrap could not be installed (see $state/apt.log)"
}

# A service manager knows best how its engine is run; without one it is run here.
launch() {
  [ "$(id -u)" -eq 0 ] || give_up "an engine is installed, but none answers, and only root can start one"
  if [ -d /run/systemd/system ] && systemctl start docker 2>/dev/null && wait_for_engine 30; then
    return
  fi
  [ -d "$state" ] || (umask 077 && mkdir -p "$state") || give_up "cannot write $state"
  # A killed engine that nobody has reaped still owns its pid file, and a new one would refuse to start.
  for file in /run/docker.pid /run/docker/containerd/containerd.pid; do
    owner=$(cat "$file" 2>/dev/null) || continue
    grep -q '^State:[[:space:]]*[^Z]' "/proc/$owner/status" 2>/dev/null || rm -f "$file"
  done
  setsid dockerd --host "unix://$socket" </dev/null >"$log" 2>&1 &
  echo "$!" >"$pid_file"
  say "engine: starting dockerd (log: $log)"
  wait_for_engine 60 && return
  tail -n 15 "$log" >&2
  stop
  give_up "dockerd does not answer (log: $log)"
}

start() {
  if ! answers; then
    case ${DOCKER_HOST:-} in
      '' | "unix://$socket" | unix:///run/docker.sock) ;;
      *) give_up "nothing answers at DOCKER_HOST=$DOCKER_HOST" ;;
    esac
    if ! command -v dockerd >/dev/null; then
      can_install || give_up "no container engine answers"
      install docker.io iptables mmdebstrap debian-archive-keyring ca-certificates
      # Packages that cannot start their service in a container fail here, though the program is there.
      command -v dockerd >/dev/null || give_up "docker.io could not be installed (see $state/apt.log)"
      wait_for_engine 3 || launch
    else
      launch
    fi
  fi
  need_debootstrap
}

# The pid may belong to somebody else by now: only a dockerd is ended.
stop() {
  [ -r "$pid_file" ] || return 0
  pid=$(cat "$pid_file")
  rm -f "$pid_file"
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || return 0
  kill "$pid" 2>/dev/null || return 0
  left=20
  while [ "$left" -gt 0 ] && [ -d "/proc/$pid" ]; do
    sleep 1
    left=$((left - 1))
  done
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  *)
    say "usage: scripts/engine.sh start | stop"
    exit 2
    ;;
esac
