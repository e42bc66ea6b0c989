complete -r app_cluster

# What the definition of the command line cannot tell: the releases there are, and where a file is meant. A file is completed
# where -o default is set, and nowhere else.
_app_cluster_values() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb= word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] || { verb=$word; break; }
    done
    COMPREPLY=()
    case $verb:$prev:$cur in
        *:--root:*) compopt -o dirnames ;;
        deploy:--id:* | deploy:--canary:*) ;;
        *:*:-* | :*) _app_cluster "$@" ;;
        deploy:*) compopt -o default ;;
        rollback:*) mapfile -t COMPREPLY < <(compgen -W "$("$1" releases --ids 2>/dev/null)" -- "$cur") ;;
        scale:*) mapfile -t COMPREPLY < <(compgen -W auto -- "$cur") ;;
    esac
}
complete -F _app_cluster_values -o nosort app-cluster
