// Layers in a row as one operator. By the time a layer is done its weights have driven Python out of the caches; here
// the next one is called without it.
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <algorithm>
#include <functional>
#include <string>
#include <unordered_map>

namespace dicenet_mm {
namespace {

using at::IntArrayRef;
using at::Tensor;
using at::TensorList;

// Of an input, the layer's weights and its numbers.
using Layer = std::function<Tensor(const Tensor&, TensorList, IntArrayRef)>;

template <class F>
c10::TypedOperatorHandle<F> find(const std::string& name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(("dicenet_mm::" + name).c_str(), "").typed<F>();
}

const Tensor& only(TensorList weights) {
  TORCH_CHECK(weights.size() == 1, "a layer of a sequence takes one tensor, got ", weights.size());
  return weights[0];
}

Layer of_nothing(const char* name) {
  return [op = find<Tensor(const Tensor&)>(name)](const Tensor& x, TensorList, IntArrayRef) { return op.call(x); };
}

Layer of_one(const char* name) {
  return [op = find<Tensor(const Tensor&, const Tensor&)>(name)](const Tensor& x, TensorList weights, IntArrayRef) {
    return op.call(x, only(weights));
  };
}

Layer of_several(const char* name) {
  return [op = find<Tensor(const Tensor&, TensorList)>(name)](const Tensor& x, TensorList weights, IntArrayRef) {
    return op.call(x, weights);
  };
}

Layer of_flat(const char* name) {
  return [op = find<Tensor(const Tensor&, const Tensor&, IntArrayRef)>(name)](
             const Tensor& x, TensorList weights, IntArrayRef sizes) { return op.call(x, only(weights), sizes); };
}

Layer of_stage(const char* name) {
  return [op = find<Tensor(const Tensor&, const Tensor&, bool, IntArrayRef)>(name)](
             const Tensor& x, TensorList weights, IntArrayRef numbers) {
    TORCH_CHECK(!numbers.empty(), "a stage of a sequence lacks its sizes");
    return op.call(x, only(weights), numbers[0], numbers.slice(1));
  };
}

Layer of_several_without_gate(const char* name) {
  return [op = find<Tensor(const Tensor&, TensorList, const std::optional<Tensor>&)>(name)](
             const Tensor& x, TensorList weights, IntArrayRef) { return op.call(x, weights, std::nullopt); };
}

Tensor linear(const Tensor& x, TensorList weights, IntArrayRef) {
  static const Layer point_wise = of_several("point_wise");
  TORCH_CHECK(x.dim() > 0, "a linear layer takes a tensor of one dimension at least");
  std::vector<c10::SymInt> sizes = x.sym_sizes().vec();
  const Tensor y = point_wise(x.reshape_symint({-1, sizes.back(), 1, 1}), weights, {});
  sizes.back() = y.sym_size(1);
  return y.view_symint(sizes);
}

const std::unordered_map<std::string, Layer>& layers() {
  static const std::unordered_map<std::string, Layer> all{
      {"max_pool", of_nothing("max_pool")},
      {"average_pool", of_nothing("average_pool")},
      {"global_average_pool", of_nothing("global_average_pool")},
      {"spatial_conv", of_one("spatial_conv")},
      {"point_wise", of_several("point_wise")},
      {"grouped_conv", of_several_without_gate("grouped_conv")},
      {"strided_conv", of_several("strided_conv")},
      {"strided_conv_pool", of_several("strided_conv_pool")},
      {"dice_unit", of_flat("dice_unit")},
      {"dice_stage", of_stage("dice_stage")},
      {"flatten", [](const Tensor& x, TensorList, IntArrayRef) { return x.flatten(1); }},
      {"linear", linear},
  };
  return all;
}

// `operators`: the names of the layers, with spaces between them; `counts`: how many tensors and how many numbers each
// of them takes of `weights` and `numbers`; `kept`: whose results are returned, ascending.
std::vector<Tensor> sequence(const Tensor& input, const std::string& operators, TensorList weights, IntArrayRef counts,
                             IntArrayRef numbers, IntArrayRef kept) {
  std::vector<Tensor> outs;
  Tensor x = input;
  for (size_t i = 0, begin = 0, end; begin < operators.size(); ++i, begin = end + 1) {
    end = std::min(operators.find(' ', begin), operators.size());
    const std::string name = operators.substr(begin, end - begin);
    const auto layer = layers().find(name);
    TORCH_CHECK(layer != layers().end(), "no layer of a sequence is called ", name);
    TORCH_CHECK(counts.size() >= 2, name, " comes without its counts of tensors and numbers");
    const size_t tensors = counts[0], sizes = counts[1];
    TORCH_CHECK(tensors <= weights.size() && sizes <= numbers.size(), name, " takes ", tensors, " tensors and ", sizes,
                " numbers, but ", weights.size(), " and ", numbers.size(), " are left");
    x = layer->second(x, weights.slice(0, tensors), numbers.slice(0, sizes));
    if (outs.size() < kept.size() && kept[outs.size()] == static_cast<int64_t>(i)) outs.push_back(x);
    weights = weights.slice(tensors), numbers = numbers.slice(sizes), counts = counts.slice(2);
  }
  TORCH_CHECK(outs.size() == kept.size(), "kept must name layers of the sequence in ascending order, got ", kept);
  return outs;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(dicenet_mm, m) {
  m.def("sequence(Tensor x, str operators, Tensor[] weights, int[] counts, int[] numbers, int[] kept) -> Tensor[]",
        &sequence);
}

}  // namespace dicenet_mm
