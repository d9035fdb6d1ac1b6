#!/usr/bin/env bash
# From a fresh clone to edited pictures: sets up, builds the program, and edits pictures of assets/ with the embedded
# nano model. Writes to outputs/quickstart/ and can be run again.
set -euo pipefail
cd "$(dirname "$0")/.."
out=outputs/quickstart

edits=(
  "desert-car.png|make the car red"
  "desert-car.png|the background is snow"
  "desert-balloon.png|without the cloud"
  "desert-house.png|the box is white"
  "snow-house.png|there is a black balloon on the right"
  "snow-house.png|add a sun on the left"
  "snow-ball.png|change the car into a tree"
  "meadow-tree.png|make it night"
  "astronaut.jpg|make it a negative"
  "cat.jpg|make it night"
  "coffee.jpg|give it a warm sunset light"
  "rocket.jpg|make it foggy"
)

echo "Setting up and building build/release/icedit (the first time takes some four minutes on two cores) ..."
scripts/build.sh --first release icedit

mkdir -p "$out"
for edit in "${edits[@]}"; do
  picture=${edit%%|*} instruction=${edit#*|}
  result=$out/${picture%.*}-${instruction// /-}.png
  echo "icedit edit assets/$picture \"$instruction\" --output-size source -o $result"
  build/release/icedit edit "assets/$picture" "$instruction" --output-size source --seed 1 --force --quiet -o "$result" >/dev/null
done

echo
echo "${#edits[@]} edited pictures are in $(pwd)/$out"
echo "The nano model is a toy of 96 x 96 pixels that knows a few kinds of edits (models/nano/README.md); some of these"
echo "fail. Your own: build/release/icedit edit PICTURE \"INSTRUCTION\" -o OUT.png"
echo "In a browser: build/release/icedit serve"
