#include "plan.h"

#include <algorithm>
#include <memory>
#include <numeric>

namespace dicenet_mm {

std::vector<uint32_t> borders(int height, int width, int lanes) {
  const int area = height * width, vectors = (area + lanes - 1) / lanes;
  std::vector<uint32_t> out(static_cast<size_t>(vectors) * 9);
  for (int v = 0; v < vectors; ++v) {
    const int start = v * lanes, end = std::min(area, start + lanes);
    auto range = [&](int from, int to) {  // lanes whose voxel is in [from, to)
      from = std::max(from, start), to = std::min(to, end);
      return from < to ? ((1u << (to - from)) - 1) << (from - start) : 0u;
    };
    const uint32_t rows[3] = {range(width, area), range(0, area), range(0, area - width)};
    uint32_t columns[3] = {rows[1], rows[1], rows[1]};
    for (int i = (start + width - 1) / width * width; i < end; i += width) columns[0] &= ~(1u << (i - start));
    for (int i = start / width * width + width - 1; i < end; i += width) columns[2] &= ~(1u << (i - start));
    for (int i = 0; i < 9; ++i) out[v * 9 + i] = rows[i / 3] & columns[i % 3];
  }
  return out;
}

template <class S>
Resize<S>::Resize(int in, int out, bool transposed) {
  if (in == out) {  // as it is, transposed or not
    in_ = in, out_ = out, taps_ = 1;
    first_.resize(out), coefficients_.assign(out, 1);
    std::iota(first_.begin(), first_.end(), 0);
    return;
  }
  struct Entry {
    int row, column;
    double value;
  };
  std::vector<Entry> entries;
  for (int i = 0; i < out; ++i) {
    if (out > in) {
      const int64_t at = out > 1 ? static_cast<int64_t>(i) * (in - 1) : 0;
      const int left = static_cast<int>(at / (out - 1)), right = std::min(left + 1, in - 1);
      const double part = static_cast<double>(at % (out - 1)) / (out - 1);
      entries.push_back({i, left, 1 - part});
      if (part > 0) entries.push_back({i, right, part});
    } else {
      const int first = static_cast<int>(static_cast<int64_t>(i) * in / out);
      const int last = static_cast<int>((static_cast<int64_t>(i + 1) * in + out - 1) / out);
      for (int j = first; j < last; ++j) entries.push_back({i, j, 1.0 / (last - first)});
    }
  }
  if (transposed) {
    for (Entry& e : entries) std::swap(e.row, e.column);
    std::swap(in, out);
  }
  in_ = in, out_ = out;
  std::vector<int> begin(out, in), end(out, 0);
  for (const Entry& e : entries) {
    begin[e.row] = std::min(begin[e.row], e.column);
    end[e.row] = std::max(end[e.row], e.column + 1);
  }
  taps_ = 1;
  for (int i = 0; i < out; ++i) taps_ = std::max(taps_, end[i] - begin[i]);
  first_.resize(out);
  for (int i = 0; i < out; ++i)
    first_[i] = std::max(0, std::min(begin[i], in - taps_));  // all taps lie inside
  coefficients_.assign(static_cast<size_t>(out) * taps_, 0);
  for (const Entry& e : entries)
    coefficients_[e.row * taps_ + e.column - first_[e.row]] += static_cast<S>(e.value);
}

template <class S>
S* scratch(int64_t size, ScratchSlot slot) {
  constexpr size_t line = 64;
  struct Memory {
    std::unique_ptr<char[]> bytes;
    size_t held = 0;
  };
  static thread_local Memory memories[static_cast<int>(ScratchSlot::count)];
  Memory& memory = memories[static_cast<int>(slot)];
  const size_t needed = size * sizeof(S) + line;
  if (memory.held < needed) {
    memory.bytes.reset(), memory.held = 0;
    memory.bytes.reset(new char[needed]);
    memory.held = needed;
  }
  const auto address = reinterpret_cast<uintptr_t>(memory.bytes.get());
  return reinterpret_cast<S*>((address + line - 1) / line * line);
}
template float* scratch(int64_t, ScratchSlot);
template double* scratch(int64_t, ScratchSlot);

namespace {

// (kernels, 9) -> (9, padded plane), each voxel with the taps of its row or column.
template <class S>
std::unique_ptr<const S[]> spread(const S* taps, int height, int width, bool by_row, bool turned) {
  const int64_t area = static_cast<int64_t>(height) * width, length = padded(area);
  std::unique_ptr<S[]> out(new S[9 * length]);  // left as it is: all of it is written below
  for (int k = 0; k < 9; ++k) {
    const S* tap = taps + (turned ? 8 - k : k);
    S* plane = out.get() + k * length;
    for (int h = 0; h < height; ++h) {
      S* row = plane + static_cast<int64_t>(h) * width;
      if (by_row) {
        std::fill(row, row + width, tap[h * 9]);
      } else if (h == 0) {
        for (int w = 0; w < width; ++w) row[w] = tap[w * 9];
      } else {
        std::copy(plane, plane + width, row);
      }
    }
    std::fill(plane + area, plane + length, S{});
  }
  return out;
}

}  // namespace

template <class S>
Resizing<S>::Resizing(const Sizes& s, bool adjoint, int lanes)
    : rows_to(adjoint ? s.kernel_height : s.height, adjoint ? s.height : s.kernel_height, adjoint),
      rows_back(adjoint ? s.height : s.kernel_height, adjoint ? s.kernel_height : s.height, adjoint),
      columns_to(adjoint ? s.kernel_width : s.width, adjoint ? s.width : s.kernel_width, adjoint),
      columns_back(adjoint ? s.width : s.kernel_width, adjoint ? s.kernel_width : s.width, adjoint),
      row_borders(borders(s.kernel_height, s.width, lanes)),
      column_borders(borders(s.height, s.kernel_width, lanes)) {}

template <class S>
Plan<S>::Plan(const Sizes& s, const S* depth_taps, const S* height_taps, const S* width_taps, bool adjoint,
              const S* height_table, const S* width_table)
    : sizes(s),
      run(kernels<S>()),
      depth_taps_(depth_taps),
      height_taps_(height_table),
      width_taps_(width_table),
      borders_(borders(s.height, s.width, run.lanes)),
      resizing_(s.native() ? std::nullopt : std::optional<Resizing<S>>(std::in_place, s, adjoint, run.lanes)) {
  if (!s.native() || !height_table) {
    made_height_taps_ = spread(height_taps, s.kernel_height, s.width, true, adjoint);
    made_width_taps_ = spread(width_taps, s.height, s.kernel_width, false, adjoint);
    height_taps_ = made_height_taps_.get(), width_taps_ = made_width_taps_.get();
  }
  if (!adjoint) return;
  turned_.resize(static_cast<size_t>(s.depth) * 9);
  for (int d = 0; d < s.depth; ++d) std::reverse_copy(depth_taps + d * 9, depth_taps + d * 9 + 9, &turned_[d * 9]);
  depth_taps_ = turned_.data();
}

template <class S>
const S* Plan<S>::readable(const S* in, int begin, int end, int64_t stride, const ReadableRange<S>& extent,
                           S* copy) const {
  const int64_t before = begin > 0 ? stride : 0,
                length = (end - begin) * stride + (end < sizes.depth ? stride : 0);
  if (in - before - extent.begin >= margin() && extent.end - in - length >= margin()) return in;
  std::copy(in - before, in + length, copy);
  return copy + before;
}

template <class S>
Tile<S> Plan<S>::tile(int begin, int end, const S* depth_in, const S* height_in, const S* width_in,
                      int64_t stride) const {
  return {sizes.depth,
          sizes.height,
          sizes.width,
          begin,
          end,
          depth_in,
          height_in,
          width_in,
          stride,
          depth_taps_,
          height_taps_,
          width_taps_,
          borders_.data()};
}

template <class S>
Tile<S> Plan<S>::row_tile(int begin, int end, const S* resized) const {
  const S* in = resized + sizes.row_area();
  return {sizes.depth,
          sizes.kernel_height,
          sizes.width,
          begin,
          end,
          in,
          in,
          in,
          sizes.row_area(),
          nullptr,
          height_taps_,
          nullptr,
          resizing_->row_borders.data()};
}

template <class S>
Tile<S> Plan<S>::column_tile(int begin, int end, const S* resized) const {
  const S* in = resized + sizes.column_area();
  return {sizes.depth,
          sizes.height,
          sizes.kernel_width,
          begin,
          end,
          in,
          in,
          in,
          sizes.column_area(),
          nullptr,
          nullptr,
          width_taps_,
          resizing_->column_borders.data()};
}

template <class S>
void Plan<S>::resize_rows(const Resize<S>& resize, const PlaneBatch<S>& planes) const {
  const int64_t images = sizes.images;
  if (images == 1) return run.resize_rows(resize.matrix(), planes);
  run.batch_resize(resize.matrix(), planes, {images * planes.across, images, images});
}

template <class S>
void Plan<S>::resize_columns(const Resize<S>& resize, const PlaneBatch<S>& planes) const {
  const int64_t images = sizes.images;
  const ResizeMatrix<S> band = resize.matrix();
  if (images == 1) return run.resize_columns(band, planes);
  run.batch_resize(band, planes, {images, images * band.in, images * band.out});
}

template <class S>
void Plan<S>::resize_rows(int begin, int end, const S* in, int64_t in_stride, S* resized) const {
  const int before = begin > 0, after = end < sizes.depth;
  resize_rows(resizing_->rows_to, {in - before * in_stride, resized + (1 - before) * sizes.row_area(),
                         end - begin + before + after, in_stride, sizes.row_area(), sizes.width});
}

template <class S>
void Plan<S>::resize_columns(int begin, int end, const S* in, int64_t in_stride, S* resized) const {
  const int before = begin > 0, after = end < sizes.depth;
  resize_columns(resizing_->columns_to, {in - before * in_stride, resized + (1 - before) * sizes.column_area(),
                               end - begin + before + after, in_stride, sizes.column_area(), sizes.height});
}

template <class S>
void Plan<S>::branch(Branch which, const Tile<S>& tile, S* y, int64_t stride) const {
  (sizes.images == 1 ? run.branch : run.batch_branch)(which, tile, y, stride);
}

template <class S>
void Plan<S>::height_from(int begin, int end, const S* resized, S* work, S* out, int64_t out_stride) const {
  branch(kHeight, row_tile(begin, end, resized), work, sizes.row_area());
  resize_rows(resizing_->rows_back, {work, out, end - begin, sizes.row_area(), out_stride, sizes.width});
}

template <class S>
void Plan<S>::width_from(int begin, int end, const S* resized, S* work, S* out, int64_t out_stride) const {
  branch(kWidth, column_tile(begin, end, resized), work, sizes.column_area());
  resize_columns(resizing_->columns_back, {work, out, end - begin, sizes.column_area(), out_stride, sizes.height});
}

template <class S>
void Plan<S>::height_branch(int begin, int end, const S* in, int64_t in_stride, S* resized, S* work, S* out,
                            int64_t out_stride) const {
  resize_rows(begin, end, in, in_stride, resized);
  height_from(begin, end, resized, work, out, out_stride);
}

template <class S>
void Plan<S>::width_branch(int begin, int end, const S* in, int64_t in_stride, S* resized, S* work, S* out,
                           int64_t out_stride) const {
  resize_columns(begin, end, in, in_stride, resized);
  width_from(begin, end, resized, work, out, out_stride);
}

template <class S>
int Plan<S>::chunk() const {
  const int64_t bytes = std::max({sizes.area(), sizes.row_area(), sizes.column_area()}) * sizeof(S);
  const int64_t most = sizes.native() && sizes.images == 1 ? 200'000 : 100'000;
  return static_cast<int>(std::clamp<int64_t>(most / bytes, 4, 32));
}

template class Resize<float>;
template class Resize<double>;
template class Plan<float>;
template class Plan<double>;

}  // namespace dicenet_mm
