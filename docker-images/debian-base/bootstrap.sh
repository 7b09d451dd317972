#!/bin/sh
# Writes a Debian root file system as a tar archive to standard output.
# Progress and errors go to standard error. Nothing is installed on the host.
set -eu

suite=trixie
mirror=http://deb.debian.org/debian
security=http://deb.debian.org/debian-security

fail() { echo "bootstrap-debian: $*" >&2; exit 1; }

if [ "${1:-}" != inside ]; then
    # This outer part only checks the machine and enters private namespaces.
    # When they end, in whatever way, the kernel kills every process in them
    # and drops every mount with the memory file system that holds all files.
    # So nothing can be left on the host.
    [ "$(uname -s)" = Linux ] || fail "only a Linux host can build the base image"
    for c in apt-get dpkg dpkg-deb perl tar unshare setpriv setsid timeout mount chroot; do
        command -v "$c" >/dev/null 2>&1 || fail "the command $c is missing; this needs a Debian-like host"
    done
    ns="--mount --propagation private --pid --fork --kill-child --mount-proc"
    help="run it as root, or install uidmap and give the user entries in /etc/subuid and /etc/subgid"
    if [ "$(id -u)" != 0 ]; then
        ns="--user --map-root-user --map-auto $ns"
        command -v newuidmap >/dev/null 2>&1 || fail "the command newuidmap is missing; $help"
    fi
    # Some versions of unshare wait forever where they are not allowed to.
    why=$(timeout --signal=KILL 10 unshare $ns true 2>&1) ||
        fail "this user may not create the namespaces that are needed ($why); $help"
    setpriv --pdeathsig KILL unshare $ns setsid sh "$0" inside &
    child=$!
    trap 'kill -KILL $child 2>/dev/null || true; wait $child 2>/dev/null || true; exit 130' INT TERM HUP
    status=0
    wait $child || status=$?
    exit $status
fi

export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/tmp DEBIAN_FRONTEND=noninteractive
keyring=
for k in /usr/share/keyrings/debian-archive-keyring.pgp /usr/share/keyrings/debian-archive-keyring.gpg; do
    if [ -s "$k" ]; then keyring=$k; break; fi
done
# The host's /tmp is hidden by a memory file system that only exists in here.
mount -t tmpfs -o "mode=1777,size=2g" tmpfs /tmp
cd /tmp
mkdir -p tool apt/lists/partial apt/cache/archives/partial apt/etc apt/none
if [ -z "$keyring" ]; then
    # Ubuntu carries this package too, and its own signature vouches for it.
    apt-get -q -o Debug::NoLocking=true -o APT::Sandbox::User= download debian-archive-keyring >&2 ||
        fail "Debian's archive keys are missing; install the package debian-archive-keyring"
    dpkg-deb -x debian-archive-keyring_*.deb keys
    keyring=$(ls keys/usr/share/keyrings/debian-archive-keyring.* | head -n 1)
fi
cp -L "$keyring" keyring.gpg
chmod 644 keyring.gpg

sources() { # $1 is the keyring as apt will see it, or nothing
    printf 'Types: deb\nURIs: %s\nSuites: %s %s-updates\nComponents: main\n%s\n' "$mirror" "$suite" "$suite" "${1:+Signed-By: $1
}"
    printf 'Types: deb\nURIs: %s\nSuites: %s-security\nComponents: main\n%s' "$security" "$suite" "${1:+Signed-By: $1
}"
}
sources "" > debian.sources
sources /usr/share/keyrings/debian-archive-keyring.pgp > final.sources
printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /tmp/keyring.gpg\n' "$mirror" "$suite" > apt/etc/tool.sources

# A private apt state fetches the tool from the same release: the host's
# package lists are neither used nor changed, and unsigned indexes are refused.
cat > apt.conf <<CONF
Dir::State "/tmp/apt";
Dir::State::lists "/tmp/apt/lists";
Dir::State::status "/dev/null";
Dir::Cache "/tmp/apt/cache";
Dir::Etc::sourcelist "/tmp/apt/none/none";
Dir::Etc::sourceparts "/tmp/apt/etc";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/tmp/apt/none";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/tmp/apt/none";
Acquire::Languages "none";
Acquire::AllowInsecureRepositories "false";
APT::Sandbox::User "";
CONF
APT_CONFIG=/tmp/apt.conf apt-get -q -o APT::Update::Error-Mode=any update >&2
APT_CONFIG=/tmp/apt.conf apt-get -q download mmdebstrap >&2
dpkg-deb -x mmdebstrap_*.deb tool
# The date of the release stands for the time of the build, which makes the
# archive the same in every run against the same mirror state.
epoch=$(date -u -d "$(sed -n 's/^Date: //p' apt/lists/*_dists_"${suite}"_InRelease)" +%s)
rm -rf apt mmdebstrap_*.deb

cat > slim.conf <<'CONF'
# Documentation and translations are left out, because no one reads them in a
# container.
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-include /usr/share/locale/locale.alias
path-exclude /usr/share/man/*
CONF
cat > finish.sh <<'HOOK'
#!/bin/sh
set -eu
root=$1
# The essential packages are unpacked before dpkg reads its settings.
find "$root/usr/share/doc" -mindepth 1 -not -type d -not -name copyright -delete
find "$root/usr/share/doc" -mindepth 1 -type d -empty -delete
find "$root/usr/share/locale" -mindepth 1 -maxdepth 1 -not -name locale.alias -exec rm -rf {} +
rm -rf "$root"/usr/share/groff/* "$root"/usr/share/info/* "$root"/usr/share/lintian/* "$root"/usr/share/man/*
# These describe the host.
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/* \
    "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old "$root"/var/cache/ldconfig/aux-cache \
    "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/etc/group- "$root"/etc/passwd- "$root"/etc/shadow- "$root"/etc/gshadow-
rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/* "$root/etc/apt/apt.conf.d/99mmdebstrap"
install -m 644 /tmp/final.sources "$root/etc/apt/sources.list.d/debian.sources"
install -m 644 /tmp/slim.conf "$root/etc/dpkg/dpkg.cfg.d/90container-slim"
printf '# A container that is lost half-way is built again, so nothing needs to be synced.\nforce-unsafe-io\n' > "$root/etc/dpkg/dpkg.cfg.d/90container-speedup"
printf '// Translated package descriptions are not worth their download.\nAcquire::Languages "none";\n' > "$root/etc/apt/apt.conf.d/90container"
HOOK
chmod 755 finish.sh

# mmdebstrap may send a hang-up to its whole process group when it fails,
# which setsid above keeps away from the caller.
PATH=/tmp/tool/usr/bin:$PATH SOURCE_DATE_EPOCH=$epoch \
perl tool/usr/bin/mmdebstrap --mode=root --variant=minbase --format=tar --verbose \
    --skip=check/signed-by,check/qemu,output/dev --keyring=/tmp/keyring.gpg \
    --aptopt='Acquire::Languages "none"' \
    --setup-hook='cp /tmp/slim.conf "$1/etc/dpkg/dpkg.cfg.d/90container-slim"' \
    --customize-hook=/tmp/finish.sh \
    "$suite" - /tmp/debian.sources
