#!/usr/bin/env bash
# One call on a card: bash benchmarks/gpu/run.sh PIECES [options of campaign.py]. Wheels come from .gpu, results go to
# $OUT, or to benchmarks/results/gpu. Whatever fails, the next piece is measured, and the status is 0.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
wheels=${LORATUI_GPU_WHEELS:-$root/.gpu}
python=${PYTHON:-python3}
site=${TMPDIR:-/tmp}/loratui-gpu/site
pieces=${1:-machine,memory}
shift $(($# > 0))
install() { # FOLDER WHEELS
  [ -e "$1/.installed" ] || "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade \
    --target "$1" "$2"/*.whl && touch "$1/.installed"
}
if [ -d "$wheels" ]; then
  install "$site" "$wheels" || exit 1
  export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
fi
case ,$pieces in
*,unsloth*) [ -d "$root/.gpu-unsloth" ] && install "$site-unsloth" "$root/.gpu-unsloth" && export LORATUI_UNSLOTH=$site-unsloth ;;
esac
rows=$wheels/rows.jsonl
[ -e "$rows" ] || rows=${LORATUI_GPU_ROWS:-$rows}
"$python" "$root/benchmarks/gpu/campaign.py" --rows "$rows" --pieces "$pieces" "$@"
exit 0
