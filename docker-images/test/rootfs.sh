#!/bin/sh
# Writes the root file system of the tests' image as a tar archive to standard output: a static
# busybox with its names, and nothing else. Nothing is installed on the host.
set -eu

fail() { echo "test image: $*" >&2; exit 1; }

work=$(mktemp -d)
trap 'cd /; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
cd "$work"
mkdir -p lists/partial cache/archives/partial etc none root/bin root/etc root/tmp root/proc \
    root/sys root/dev root/run root/usr root/home

for c in apt-get dpkg dpkg-deb tar; do
    command -v "$c" >/dev/null 2>&1 || fail "the command $c is missing; this needs a Debian-like host"
done
keyring=
for k in /usr/share/keyrings/debian-archive-keyring.pgp /usr/share/keyrings/debian-archive-keyring.gpg; do
    if [ -s "$k" ]; then keyring=$k; break; fi
done
[ -n "$keyring" ] || fail "Debian's archive keys are missing; install the package debian-archive-keyring"
printf 'Types: deb\nURIs: http://deb.debian.org/debian\nSuites: trixie\nComponents: main\nSigned-By: %s\n' \
    "$keyring" > etc/debian.sources
: > status
# A private state: the package lists and settings of the host are neither used nor changed, and
# unsigned indexes are refused.
cat > apt.conf <<CONF
APT::Architecture "$(dpkg --print-architecture)";
APT::Architectures { "$(dpkg --print-architecture)"; };
Dir::State "$work";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/none/none";
Dir::Etc::sourceparts "$work/etc";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "$work/none";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$work/none";
Acquire::Languages "none";
Acquire::AllowInsecureRepositories "false";
APT::Sandbox::User "";
CONF
export APT_CONFIG="$work/apt.conf" LC_ALL=C
apt-get -q -o APT::Update::Error-Mode=any update >&2
apt-get -q download busybox-static >&2
dpkg-deb -x busybox-static_*.deb deb

for b in deb/bin/busybox deb/usr/bin/busybox; do
    if [ -x "$b" ]; then cp "$b" root/bin/busybox; fi
done
for name in $(root/bin/busybox --list); do
    [ "$name" = busybox ] || ln -s busybox "root/bin/$name"
done
ln -s bin root/sbin
ln -s ../bin root/usr/bin
printf 'root:x:0:0:root:/root:/bin/sh\nagent:x:10001:10001:agent:/home/agent:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' > root/etc/passwd
printf 'root:x:0:\nagent:x:10001:\nnogroup:x:65534:\n' > root/etc/group
chmod 1777 root/tmp
tar -C root --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 -c .
