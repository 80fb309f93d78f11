#!/bin/sh
# Makes sure that the system has what demo and tests need beside Rust, and the programs that are arguments. Debian and Ubuntu:
# installs it.
set -eu

missing=""
for program in "$@"; do
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
done
have_module() {
    for module in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so; do
        [ -e "$module" ] && return 0
    done
    return 1
}
have_module || missing="$missing softhsm2"
command -v softhsm2-util >/dev/null 2>&1 || case "$missing" in *softhsm2*) ;; *) missing="$missing softhsm2" ;; esac
/usr/bin/python3 -c 'import aiosmtpd' >/dev/null 2>&1 || missing="$missing python3-aiosmtpd"
/usr/bin/python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing python3-venv"
[ -x /usr/sbin/bearerbox ] && [ -x /usr/lib/kannel/test/fakesmsc ] || missing="$missing kannel kannel-extras"
[ -x /usr/lib/postfix/sbin/master ] || missing="$missing postfix"
perl -MNet::SMPP -e 1 >/dev/null 2>&1 || missing="$missing libnet-smpp-perl"
command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd"
command -v setpriv >/dev/null 2>&1 || missing="$missing util-linux"
command -v mkfs.ext4 >/dev/null 2>&1 || missing="$missing e2fsprogs"
command -v losetup >/dev/null 2>&1 || missing="$missing mount"
command -v cc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
command -v curl >/dev/null 2>&1 || missing="$missing curl"
command -v pkcs11-tool >/dev/null 2>&1 || missing="$missing opensc"
# Tokens of other kinds: SoftHSM behind p11-kit, and what kryoptic is built with (tests/support/kryoptic.sh).
command -v p11-kit >/dev/null 2>&1 || missing="$missing p11-kit"
have_client() {
    for module in /usr/lib/pkcs11/p11-kit-client.so /usr/lib/*/pkcs11/p11-kit-client.so /usr/lib64/pkcs11/p11-kit-client.so; do
        [ -e "$module" ] && return 0
    done
    return 1
}
have_client || missing="$missing p11-kit-modules"
command -v clang >/dev/null 2>&1 && ls /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1 || missing="$missing clang libclang-dev"
command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
# Smart cards: pcscd with its virtual reader, and OpenSC, which knows real cards.
pkg-config --exists libpcsclite 2>/dev/null || missing="$missing libpcsclite-dev"
[ -x /usr/sbin/pcscd ] || missing="$missing pcscd"
have_library() {
    for library in /usr/lib/*/"$1" /usr/lib/"$1" /usr/lib64/"$1"; do
        [ -e "$library" ] && return 0
    done
    return 1
}
have_library pcsc/drivers/serial/libifdvpcd.so || missing="$missing vsmartcard-vpcd"
have_library pkcs11/opensc-pkcs11.so || missing="$missing opensc-pkcs11"
have_library engines-3/pkcs11.so || missing="$missing libengine-pkcs11-openssl"
command -v openssl >/dev/null 2>&1 || missing="$missing openssl"
command -v sslscan >/dev/null 2>&1 || missing="$missing sslscan"
command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
pkg-config --exists sqlite3 2>/dev/null || missing="$missing libsqlite3-dev"
pkg-config --exists libcrypto 2>/dev/null || missing="$missing libssl-dev"
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing on this system (names of Debian's packages):$missing" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1; then
    as_root="sudo"
else
    echo "missing, and neither root nor sudo to install it:$missing" >&2
    exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get -o DPkg::Lock::Timeout=300 update -qq
case "$missing" in
*kannel* | *postfix*)
    # The packages would start a WAP gateway and a mail server, now and at every boot. Here the tests start them, and nobody else.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap '$as_root rm -f /usr/sbin/policy-rc.d' EXIT INT TERM
        printf '#!/bin/sh\nexit 101\n' | $as_root tee /usr/sbin/policy-rc.d >/dev/null
        $as_root chmod 755 /usr/sbin/policy-rc.d
    fi
    ;;
esac
# shellcheck disable=SC2086  # a list of packages
$as_root apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $missing
case "$missing" in
*kannel*) $as_root update-rc.d kannel disable >/dev/null ;;
esac
case "$missing" in
*postfix*) $as_root update-rc.d postfix disable >/dev/null ;;
esac
