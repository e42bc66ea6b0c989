# Runs before supervisor.sh, in its own mount namespace: mounts a layer in memory over TREE at LAYER/root.
set -e
mount -t tmpfs tmpfs "$LAYER"
mkdir "$LAYER/upper" "$LAYER/work" "$LAYER/root"
mount -t overlay -o "lowerdir=$TREE,upperdir=$LAYER/upper,workdir=$LAYER/work" overlay "$LAYER/root"
set +e
