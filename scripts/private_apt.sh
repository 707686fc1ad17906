# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
# shellcheck shell=bash
#
# To be sourced: an apt of one's own, for packages that are unpacked and not installed. Nothing of this
# machine's apt is read but the mirror it uses, and nothing is written.

# The mirror that this machine gets Debian's packages from.
debian_mirror() {
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --no-release-info --format '$(SITE)' 'Created-By: Packages' 2>/dev/null |
		grep -m1 '/debian/*$'
}

# private_apt SUITE ARCHITECTURE DIR: writes DIR/apt.conf, for apt-get -c. Fails where there is no Debian
# mirror or no keyring.
private_apt() {
	local suite=$1 architecture=$2 dir=$3 mirror keyring
	mirror=$(debian_mirror) || return 1
	keyring=$(compgen -G '/usr/share/keyrings/debian-archive-keyring.*' | head -n 1)
	[ -n "$keyring" ] || return 1
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	echo "deb [signed-by=$keyring] $mirror $suite main" >"$dir/sources.list"
	cat >"$dir/apt.conf" <<CONF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "$dir/lists";
Dir::State::Status "/dev/null";
Dir::Cache "$dir/cache";
CONF
}
