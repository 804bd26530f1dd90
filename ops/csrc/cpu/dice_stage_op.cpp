// A DiCE unit, and the blocks of DiCENet, on the CPU, for inference in float.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "../checks.h"
#include "layers/dice_stage.h"

namespace dicenet_mm {
namespace {

using at::Tensor;

Tensor dice_unit(const Tensor& input, const Tensor& weights, at::IntArrayRef sizes) {
  const Tensor x = checked_input(input, unit_depth(sizes)), packed = checked(weights, "weights", {kMaybe}, x);
  Tensor y = at::empty(x.sizes(), x.options());
  const int64_t area = x.size(2) * x.size(3), image = x.size(1) * area;
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_batch(x.size(0), area, [&](int images, int64_t begin, int64_t count) {
    Reader reader = reader_of(packed, sizes);
    const UnitWeights parts(reader, reader.size());
    reader.check_done();
    const Unit unit(parts, static_cast<int>(x.size(2)), static_cast<int>(x.size(3)), images);
    for_each_image(count, [&](int64_t i) {
      const int64_t offset = (begin + i * images) * image;
      unit.run({in + offset, {in, in + x.numel()}, images > 1 ? image : 0},
               scratch<float>(unit.work_size(), ScratchSlot::image), planes_of(out + offset, area, x.size(1)).data());
    });
  });
  return y;
}

Tensor dice_stage(const Tensor& input, const Tensor& weights, bool strided, at::IntArrayRef sizes) {
  const Numbers numbers{sizes.data(), sizes.size()};
  check_sizes(strided, numbers);
  const Tensor x = checked_input(input, input_channels(strided, numbers)), packed = checked(weights, "weights", {kMaybe}, x);
  const Shape from{static_cast<int>(x.size(1)), static_cast<int>(x.size(2)), static_cast<int>(x.size(3))},
      to = output_shape(from, strided, numbers);
  Tensor y = at::empty({x.size(0), to.channels, to.height, to.width}, x.options());
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_batch(x.size(0), to.voxels(), [&](int images, int64_t begin, int64_t count) {
    const Stage stage(reader_of(packed, sizes), strided, from, to, images);
    for_each_image(count, [&](int64_t i) {
      const int64_t n = begin + i * images;
      stage.run(in + n * from.size(), out + n * to.size());
    });
  });
  return y;
}

}  // namespace

TORCH_LIBRARY_IMPL(dicenet_mm, CPU, m) {
  m.impl("dice_unit", &dice_unit);
  m.impl("dice_stage", &dice_stage);
}

}  // namespace dicenet_mm
