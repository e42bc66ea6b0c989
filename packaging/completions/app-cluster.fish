
# The releases there are, and no files but where one is meant.
complete -c app-cluster -n "not __fish_seen_subcommand_from deploy" -f
complete -c app-cluster -n "__fish_seen_subcommand_from rollback" -f -a "(app-cluster releases --ids 2>/dev/null)"
