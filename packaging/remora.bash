# SPDX-License-Identifier: Apache-2.0
# Completion of remora(1) for bash.

_remora_names()
{
	# Node and VM names of the running lab; nothing where there is none.
	"${COMP_WORDS[0]}" lab status --json 2>/dev/null |
		python3 -c 'import json, sys
try:
    print(*(thing["name"] for thing in json.load(sys.stdin).get(sys.argv[1], [])))
except ValueError:
    pass' "$1" 2>/dev/null
}

_remora()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=""
	if [ "$COMP_CWORD" -eq 1 ]; then
		words="control lab node simulate switch"
	elif [ "${COMP_WORDS[1]}" = lab ] && [ "$COMP_CWORD" -eq 2 ]; then
		words="up down status console start stop kill"
	elif [ "${COMP_WORDS[1]}" = lab ] && [ "$COMP_CWORD" -eq 3 ]; then
		case $before in
		up) words="--arch" ;;
		status) words="--json" ;;
		console) words=$(_remora_names vms) ;;
		start | stop | kill) words="center $(_remora_names hosts)" ;;
		esac
	elif [ "${COMP_WORDS[1]}" = lab ] && [ "$before" = --second-card ]; then
		words="cortex-a72 neoverse-n1"
	elif [ "${COMP_WORDS[1]}" = lab ] && [ "$before" = arm64 ]; then
		words="--second-card"
	elif [ "${COMP_WORDS[1]}" = lab ] && [ "$before" = --arch ]; then
		words="amd64 arm64"
	elif [ "${COMP_WORDS[1]}" = node ]; then
		case $COMP_CWORD in
		2) words="apply check join menu" ;;
		*)
			mapfile -t COMPREPLY < <(compgen -W "--state" -f -- "$word")
			return
			;;
		esac
	elif [ "${COMP_WORDS[1]}" = control ] && [ "$COMP_CWORD" -eq 2 ]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
	elif [ "${COMP_WORDS[1]}" = switch ]; then
		case $before in
		switch) words="status show explain capture log apply upgrade" ;;
		show) words="ports flows rules segments macs" ;;
		--proto) words="tcp udp icmp" ;;
		--stages) words="received guarded sent dropped" ;;
		apply | --state | --binary | --capture | --write)
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			return
			;;
		esac
		if [[ $word == -* ]]; then
			words="--state --json --binary --hex --src-mac --dst-mac --src --dst --proto --sport
				--dport --vlan --capture --number --port --filter --snap --count --stages
				--write --follow --rule"
		fi
	elif [ "${COMP_WORDS[1]}" = simulate ]; then
		if [[ $before == -E || $before == --tlscert || $before == --tlskey ]]; then
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			return
		fi
		words="--esx --dc --cluster --host --standalone-host --vm --ds --pool --app --folder
			--pg --autostart=false --tls=false --tlscert --tlskey --username --password --listen
			--log-level -E"
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _remora remora
