#!/bin/sh
# Installs deltapost @VERSION@ as a service, without a package manager; again over an older one: an upgrade. Run as root:
#   ./install.sh               the binary into /usr/local/bin, the unit, pages, completions; user, configuration, data directory
#   ./install.sh --uninstall   takes away what it has installed; configuration, data and user stay
#   ./install.sh --purge       takes away those, too, and asks nothing
set -eu
umask 022

prefix=/usr/local
share=$prefix/share
units=/etc/systemd/system
config=/etc/deltapost/deltapost.toml
data=/var/lib/deltapost
# What was installed, a path a line.
manifest=$share/deltapost/installed

fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }
has_systemd() { [ -d /run/systemd/system ]; }

# put MODE FILE PLACE: whole or not at all, also over a binary that runs.
put() {
    mkdir -p "$(dirname "$3")"
    echo "$3" >>"$manifest.new"
    install -m "$1" "$2" "$3.new"
    mv -f "$3.new" "$3"
}

put_unit() {
    sed "s|/usr/bin/deltapost|$prefix/bin/deltapost|" "$1" >"$work/unit"
    put "$2" "$work/unit" "$3"
}

make_user() {
    ! getent passwd deltapost >/dev/null || return 0
    if has systemd-sysusers; then
        systemd-sysusers "$here/deltapost.sysusers"
    elif has useradd; then
        useradd --system --user-group --home-dir $data --no-create-home --shell /usr/sbin/nologin deltapost
    else
        fail "could not make the user \`deltapost\`: there is neither systemd-sysusers nor useradd" "make it, with a group of that name, and run this again"
    fi
}

install_files() {
    put 755 "$here/deltapost" $prefix/bin/deltapost
    for page in "$here"/man/*.gz; do
        section=${page%.gz} section=${section##*.}
        put 644 "$page" "$share/man/man$section/${page##*/}"
    done
    put 644 "$here/completions/deltapost" $share/bash-completion/completions/deltapost
    put 644 "$here/completions/_deltapost" $share/zsh/site-functions/_deltapost
    put 644 "$here/completions/deltapost.fish" $share/fish/vendor_completions.d/deltapost.fish
    for file in README.md LICENSE third-party-licences.gz deltapost.openvex.json; do
        put 644 "$here/$file" "$share/doc/deltapost/$file"
    done
    if has systemctl; then
        for unit in deltapost.service deltapost-once.service deltapost-once.timer; do
            put_unit "$here/$unit" 644 "$units/$unit"
        done
    elif has rc-update; then
        put_unit "$here/deltapost.openrc" 755 /etc/init.d/deltapost
        put 644 "$here/deltapost.logrotate" /etc/logrotate.d/deltapost
    fi
}

# Those that an older version had and this one has not.
remove_leftovers() {
    [ -e $manifest ] || return 0
    while read -r file; do
        grep -Fqx "$file" $manifest.new || rm -f "$file"
    done <$manifest
}

do_install() {
    for tool in install sed getent grep; do
        has $tool || fail "could not install: there is no \`$tool\`" "install coreutils, sed, grep and getent"
    done
    if [ -e /usr/bin/deltapost ]; then
        fail "could not install: \`/usr/bin/deltapost\` is there, from a package" "remove that package first; its configuration and data are taken over"
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    make_user
    mkdir -p "${manifest%/*}"
    : >$manifest.new
    install_files
    remove_leftovers
    mv -f $manifest.new $manifest
    if [ ! -e $config ]; then
        mkdir -p "${config%/*}"
        install -m 640 -o root -g deltapost "$here/deltapost.toml" $config
    fi
    [ -e $data ] || install -d -m 700 -o deltapost -g deltapost $data
    # As its user, and without root's terminal: what this user has put into the directory, or does to its own processes, must
    # lead root nowhere. All have su and setsid, and not all setpriv.
    if ! (cd / && exec setsid su -s /bin/sh deltapost -c "$prefix/bin/deltapost init" </dev/null >/dev/null); then
        echo "not ready yet; when that is mended, run \`deltapost init\` and restart the service" >&2
    fi
    if has_systemd; then
        systemctl daemon-reload
        systemctl try-restart deltapost.service
    fi
    echo "installed $($prefix/bin/deltapost --version)"
    if has systemctl; then
        echo "next: systemctl enable --now deltapost"
    elif has rc-update; then
        echo "next: rc-update add deltapost && rc-service deltapost start"
    else
        echo "next: have your init run \`$prefix/bin/deltapost run\` as the user deltapost"
    fi
}

do_uninstall() {
    if has_systemd; then
        systemctl disable --now deltapost.service deltapost-once.timer 2>/dev/null || true
    elif has rc-service && [ -e /etc/init.d/deltapost ]; then
        rc-service --ifstarted deltapost stop || true
        rc-update --quiet del deltapost || true
    fi
    # The new one is there after an installation that was cut off.
    for list in $manifest $manifest.new; do
        [ -e $list ] || continue
        while read -r file; do
            rm -f "$file" "$file.new"
        done <$list
        rm -f $list
    done
    rmdir ${manifest%/*} $share/doc/deltapost 2>/dev/null || true
    ! has_systemd || systemctl daemon-reload
}

do_purge() {
    do_uninstall
    rm -rf $data $config /var/lib/systemd/timers/stamp-deltapost-once.timer /var/log/deltapost.log*
    rmdir ${config%/*} 2>/dev/null || true
    if getent passwd deltapost >/dev/null; then
        if has userdel; then userdel deltapost; else deluser deltapost; fi
    fi
}

here=$(cd "$(dirname "$0")" && pwd)
[ "$(id -u)" = 0 ] || fail "this needs root" "sudo $0${1:+ $1}"
case "$#${1:-}" in
    0) do_install ;;
    1--uninstall) do_uninstall && echo "uninstalled; $config and $data stay" ;;
    1--purge) do_purge && echo "purged" ;;
    *) fail "\`$*\` is not known" "./install.sh, ./install.sh --uninstall or ./install.sh --purge" ;;
esac
