#!/usr/bin/env bash
# Puts a RabbitMQ 4 for the tests into a folder of its own, beside Debian 12's 3.10: the packages of a later Debian and all
# that they need, unpacked and not installed. A node runs in it by chroot. Needs root, Debian and about 20 s.
#
#   rabbitmq4.sh FOLDER
set -euo pipefail
root=$1
[[ ! -e $root/complete ]] || exit 0
[[ $EUID == 0 ]] && grep -qx "ID=debian" /etc/os-release || { echo "RabbitMQ 4 needs root on Debian" >&2; exit 1; }

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
# Where this machine gets its Debian from.
mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' | awk -v codename="$codename" \
  '$2 == codename && $3 == "main" {print $1; exit}')
[[ -n $mirror ]] || { echo "apt knows no mirror of $codename; run apt-get update" >&2; exit 1; }
mkdir -p "$(dirname "$root")"
work=$(mktemp -d "$root.XXXXXX")
trap 'rm -rf "$work"' EXIT

mkdir -p "$work"/apt/{lists/partial,cache/archives/partial,parts} "$work"/root/{dev,proc,tmp,node,etc}
cat >"$work/apt.conf" <<EOF
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "$work/apt/parts";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$work/apt/parts";
Dir::State "$work/apt";
Dir::State::status "/dev/null";
Dir::Cache "$work/apt/cache";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
EOF
export APT_CONFIG=$work/apt.conf
for suite in sid trixie; do # 4.3, 4.0
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$work/sources.list"
  if apt-get update -q && apt-get install -q -y --download-only rabbitmq-server coreutils dash grep sed mawk; then
    break
  fi
  rm -f "$work"/apt/cache/archives/*.deb
done
ls "$work"/apt/cache/archives/*.deb | xargs -P 2 -n 1 sh -c 'dpkg-deb --extract "$0" '"$work/root"
for folder in bin sbin lib lib64; do # base-files would link them
  [[ ! -d $work/root/usr/$folder || -e $work/root/$folder ]] || ln -s "usr/$folder" "$work/root/$folder"
done
echo "127.0.0.1 localhost" >"$work/root/etc/hosts"
touch "$work/root/complete"
rm -rf "$root"
mv "$work/root" "$root"
