// Resizing of one axis by a banded matrix: of planes of one image, and of those of a batch.
#pragma once
#include "../kernel_table.h"
#include "../simd/vec.h"

namespace {

using namespace dicenet_mm;

// One vector of columns at a time goes down the rows; `taps` rows of the input make one of the output.
template <class S, int taps>
INLINE void resize_rows_by(const ResizeMatrix<S>& b, const PlaneBatch<S>& planes) {
  using simd = Simd<S>;
  const int64_t width = planes.across;
  for (int64_t j = 0; j < width; j += simd::lanes) {
    const auto m = simd::first(width - j);
    for (int p = 0; p < planes.count; ++p) {
      const S *in = planes.in + p * planes.in_stride + j, *c = b.coefficients;
      S* out = planes.out + p * planes.out_stride + j;
      for (int i = 0; i < b.out; ++i, out += width, c += b.taps) {
        const S* row = in + b.first[i] * width;
        typename simd::V sum = simd::splat(c[0]) * simd::load(row);
        for (int k = 1; k < (taps ? taps : b.taps); ++k)
          sum += simd::splat(c[k]) * simd::load(row + k * width);
        simd::store(m, out, sum);
      }
    }
  }
}

template <class S>
void resize_rows_planes(const ResizeMatrix<S>& b, const PlaneBatch<S>& planes) {
  if (b.taps == 2) return resize_rows_by<S, 2>(b, planes);
  if (b.taps == 3) return resize_rows_by<S, 3>(b, planes);
  resize_rows_by<S, 0>(b, planes);
}

// Every voxel is a vector; the first `taps` coefficients stay in registers. Structures come by value: for all the
// compiler knows, stores could change them.
template <class S, int taps>
INLINE void batch_resize_by(const ResizeMatrix<S> b, const PlaneBatch<S> planes, const Steps steps) {
  using simd = Simd<S>;
  for (int p = 0; p < planes.count; ++p)
    for (int i = 0; i < b.out; ++i) {
      const S *in = planes.in + p * planes.in_stride + b.first[i] * steps.along, *c = b.coefficients + i * b.taps;
      S* out = planes.out + p * planes.out_stride + i * steps.along;
      typename simd::V held[taps];
      for (int k = 0; k < taps; ++k) held[k] = simd::hold(simd::splat(c[k]));
      for (int j = 0; j < planes.across; ++j, in += steps.in_across, out += steps.out_across) {
        typename simd::V sum = held[0] * simd::load(in);
        for (int k = 1; k < taps; ++k) sum += held[k] * simd::load(in + k * steps.along);
        for (int k = taps; k < b.taps; ++k) sum += simd::splat(c[k]) * simd::load(in + k * steps.along);
        simd::store(out, sum);
      }
    }
}

template <class S>
void batch_resize_planes(const ResizeMatrix<S>& b, const PlaneBatch<S>& planes, const Steps& steps) {
  if (b.taps == 1) return batch_resize_by<S, 1>(b, planes, steps);
  if (b.taps == 2) return batch_resize_by<S, 2>(b, planes, steps);
  batch_resize_by<S, 3>(b, planes, steps);
}

// One vector of columns at a time, its places and coefficients kept over all rows. `pick` takes the lanes'
// inputs.
template <class S, int taps, class Pick>
INLINE void resize_columns_by(const ResizeMatrix<S>& b, const PlaneBatch<S>& planes, int column, int used,
                              const Pick& pick) {
  using simd = Simd<S>;
  using V = typename simd::V;
  const int base = b.first[column];
  const auto m = simd::first(used);
  for (int from = 0; from < b.taps; from += taps) {
    alignas(64) int32_t place[taps][kMaxLanes] = {};
    alignas(64) S coefficient[taps][kMaxLanes] = {};
    for (int k = 0; k < taps && from + k < b.taps; ++k)
      for (int i = 0; i < used; ++i) {
        place[k][i] = b.first[column + i] - base + from + k;
        coefficient[k][i] = b.coefficients[(column + i) * b.taps + from + k];
      }
    V c[taps];
    for (int k = 0; k < taps; ++k) c[k] = simd::load(coefficient[k]);
    for (int p = 0; p < planes.count; ++p) {
      const S* in = planes.in + p * planes.in_stride + base;
      S* out = planes.out + p * planes.out_stride + column;
      for (int row = 0; row < planes.across; ++row, in += b.in, out += b.out) {
        V sum = from ? simd::load(m, out) : V{};
        pick(in, place, c, sum);
        simd::store(m, out, sum);
      }
    }
  }
}

template <class S, int taps>
INLINE void gather_columns(const ResizeMatrix<S>& b, const PlaneBatch<S>& planes, int column, int used) {
  using V = typename Simd<S>::V;
  resize_columns_by<S, taps>(b, planes, column, used, [](const S* in, const auto& place, const V* c, V& sum) {
    for (int k = 0; k < taps; ++k) sum += c[k] * Simd<S>::gather(in, place[k]);
  });
}

template <class S>
void resize_columns_planes(const ResizeMatrix<S>& b, const PlaneBatch<S>& planes) {
  constexpr int lanes = Simd<S>::lanes;
  for (int column = 0; column < b.out; column += lanes)
    gather_columns<S, 1>(b, planes, column, b.out - column < lanes ? b.out - column : lanes);
}

// Inputs that lie within one vector, or two, are permuted.
template <int taps, int vectors>
INLINE void permute_columns(const ResizeMatrix<float>& b, const PlaneBatch<float>& planes, int column, int used) {
  using simd = Simd<float>;
  using V = simd::V;
  resize_columns_by<float, taps>(
      b, planes, column, used,
      [](const float* in, const auto& place, const V* c, V& sum) __attribute__((always_inline)) {
        const V low = simd::load(in), high = vectors == 2 ? simd::load(in + simd::lanes) : low;
#pragma GCC unroll 4
        for (int k = 0; k < taps; ++k)
          sum += c[k] * (vectors == 2 ? simd::pick(low, high, place[k]) : simd::pick(low, place[k]));
      });
}

template <int taps>
INLINE void columns_within(const ResizeMatrix<float>& b, const PlaneBatch<float>& planes, int column, int used, int extent) {
  if (extent <= Simd<float>::lanes)
    permute_columns<taps, 1>(b, planes, column, used);
  else
    permute_columns<taps, 2>(b, planes, column, used);
}

template <>
void resize_columns_planes(const ResizeMatrix<float>& b, const PlaneBatch<float>& planes) {
  constexpr int lanes = Simd<float>::lanes;
  for (int column = 0, used; column < b.out; column += used) {
    auto extent = [&] { return b.first[column + used - 1] + b.taps - b.first[column]; };
    used = b.out - column < lanes ? b.out - column : lanes;
    if (extent() > 2 * lanes && used > lanes / 2) used = lanes / 2;  // half a vector, whose inputs lie closer together
    if (extent() > 2 * lanes)
      gather_columns<float, 1>(b, planes, column, used);
    else if (b.taps == 1)
      columns_within<1>(b, planes, column, used, extent());
    else if (b.taps == 2)
      columns_within<2>(b, planes, column, used, extent());
    else if (b.taps == 3)
      columns_within<3>(b, planes, column, used, extent());
    else
      columns_within<4>(b, planes, column, used, extent());
  }
}

}  // namespace
