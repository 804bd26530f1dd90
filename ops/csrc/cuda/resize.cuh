// Resizing of one axis as a banded matrix: linear between aligned corners to grow, adaptive averages to shrink.
#pragma once

#include "common.cuh"

namespace dicenet_mm::cuda {

struct Span {
  int first, last;  // last is one past the end
};

struct Resize {
  long long in, out;

  __host__ __device__ Span sources(int i) const {  // the inputs that output i reads
    if (out > in) {
      if (in == 1) return {0, 1};
      return {int(i * (in - 1) / (out - 1)), ceil_div(i * (in - 1), out - 1) + 1};
    }
    return {int(i * in / out), ceil_div((i + 1) * in, out)};
  }

  __host__ __device__ Span readers(int j) const {  // the outputs that read input j
    if (out > in) {
      if (in == 1) return {0, int(out)};
      const int first = j == 0 ? 0 : int((j - 1) * (out - 1) / (in - 1)) + 1;
      const int last = ceil_div((j + 1) * (out - 1), in - 1);
      return {first, last < out ? last : int(out)};
    }
    return {int(j * out / in), ceil_div((j + 1) * out, in)};
  }

  // How much of input j output i holds, for j among its sources.
  template <class A> __host__ __device__ A share(int i, int j) const {
    if (out > in) {
      const long long apart = i * (in - 1) - j * (out - 1);
      return in == 1 ? A(1) : A(1) - A(apart < 0 ? -apart : apart) / A(out - 1);
    }
    const Span bin = sources(i);
    return A(1) / A(bin.last - bin.first);
  }
};

// A resize, or its transpose, as a matrix: row i reads `width` sources from first(i) on.
struct Matrix {
  Resize resize;
  bool transposed;
  int width;

  Matrix(Resize resize, bool transposed) : resize(resize), transposed(transposed), width(0) {
    for (int i = 0; i < rows(); ++i) {
      const Span s = span(i);
      if (s.last - s.first > width) width = s.last - s.first;
    }
  }
  __host__ __device__ int rows() const { return int(transposed ? resize.in : resize.out); }
  __host__ __device__ int columns() const { return int(transposed ? resize.out : resize.in); }
  __host__ __device__ Span span(int i) const { return transposed ? resize.readers(i) : resize.sources(i); }
  __host__ __device__ int first(int i) const {  // pulled back where the last rows would read past the axis
    const int start = span(i).first, latest = columns() - width;
    return start < latest ? start : latest;
  }
  template <class A> __host__ __device__ A share(int i, int j) const {
    const Span s = span(i);
    if (j < s.first || j >= s.last) return A(0);
    return transposed ? resize.share<A>(j, i) : resize.share<A>(i, j);
  }
};

// The same, written out: shares (rows, width), zero where the span is narrower.
template <class A> struct Band {
  const int* first;
  const A* shares;
  int width;

  template <class T> __device__ A apply(int row, const T* source, int step) const {
    A sum = 0;
    const A* share = shares + row * width;
    source += (long long)first[row] * step;
#pragma unroll 1  // two or three turns as a rule
    for (int j = 0; j < width; ++j) sum += share[j] * static_cast<A>(source[j * step]);
    return sum;
  }
};

template <class A>
__global__ void __launch_bounds__(kMaxThreads, kOtherBlocks<A>)
    write_band(Matrix matrix, int* first, A* shares) {
  const int i = blockIdx.x * kMaxThreads + threadIdx.x;
  if (i >= matrix.rows()) return;
  first[i] = matrix.first(i);
  for (int k = 0; k < matrix.width; ++k) shares[i * matrix.width + k] = matrix.share<A>(i, first[i] + k);
}

template <class A, class Device> Band<A> make_band(Device& device, const Matrix& matrix) {
  int* first = device.template allocate<int>(matrix.rows());
  A* shares = device.template allocate<A>((long long)matrix.rows() * matrix.width);
  device.launch(write_band<A>, ceil_div(matrix.rows(), kMaxThreads), kMaxThreads, 0, matrix, first, shares);
  return {first, shares, matrix.width};
}

// Kernels that a tile of `outputs` rows reads at most.
inline int kernels_under(const Matrix& back, int outputs) {
  int most = 0;
  for (int i = 0; i < back.rows(); i += outputs)
    most = max(most, back.first(min(i + outputs, back.rows()) - 1) + back.width - back.first(i));
  return most;
}

// Whether a size can be resized to and from the kernels' on the way: a block holds all kernels that one row
// reads.
inline bool fits(int size, int kernels) {
  return Matrix({kernels, size}, false).width <= kMaxThreads &&
         Matrix({size, kernels}, true).width <= kMaxThreads;
}

}  // namespace dicenet_mm::cuda
