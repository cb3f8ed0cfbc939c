#!/bin/sh
# Generates the Python, gRPC and mypy stubs of every proto here. With --check it changes nothing
# and fails where the committed stubs differ. Needs only .venv, wherever it is called from.
set -eu
cd "$(dirname "$0")/.."
bin="$PWD/.venv/bin"
[ -x "$bin/python" ] || { echo "no .venv here: run make setup"; exit 1; }

rooms="rpc coordination"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

room_of() { # the room that speaks this proto
  case $1 in
    proto/etcd.proto) echo coordination ;;
    *) echo rpc ;;
  esac
}

for room in $rooms; do
  mkdir -p "$work/$room"
done
for proto in proto/*.proto; do
  out="$work/$(room_of "$proto")"
  "$bin/python" -m grpc_tools.protoc -I proto \
    --plugin=protoc-gen-mypy="$bin/protoc-gen-mypy" \
    --plugin=protoc-gen-mypy_grpc="$bin/protoc-gen-mypy_grpc" \
    --python_out="$out" --grpc_python_out="$out" \
    --mypy_out=quiet:"$out" --mypy_grpc_out=quiet:"$out" "$proto"
done
# protoc imports siblings as top-level modules; ours live in a package.
for room in $rooms; do
  find "$work/$room" -type f -exec sed -i -E \
    "s/^import ([a-z]+_pb2)( as .*)?\$/from crawler.$room.pb import \1\2/" {} +
done

if [ "${1-}" = --check ]; then
  same=yes
  for room in $rooms; do
    diff -ruN -x __init__.py -x __pycache__ "crawler/$room/pb" "$work/$room" || same=no
  done
  [ $same = yes ] || { echo "stubs differ from proto/: run make proto"; exit 1; }
  exit 0
fi
# File by file, so that a process that imports the stubs meanwhile never misses one.
for room in $rooms; do
  mkdir -p "crawler/$room/pb"
  for new in "$work/$room"/*_pb2*; do
    [ -e "$new" ] || continue
    old="crawler/$room/pb/$(basename "$new")"
    cmp -s "$new" "$old" || mv "$new" "$old"
  done
  for old in "crawler/$room/pb"/*_pb2*; do
    proto=$(basename "$old")
    [ -e "proto/${proto%%_pb2*}.proto" ] || rm -f "$old"
  done
done
