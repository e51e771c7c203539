// A FIFO with the interface of `hls::stream`, for C simulation where there is no Vitis HLS.
//
// Supports read, write and empty, with any depth.
// Limits: does not block. A read of an empty stream ends the process, since in C simulation nothing else can fill it.
#ifndef NG_CSIM_HLS_STREAM_H
#define NG_CSIM_HLS_STREAM_H

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace hls {

/// \tparam T what is carried.
/// \tparam Depth for the hardware; here a stream holds any number.
template <class T, int Depth = 2>
class stream {
  public:
    stream() = default;
    explicit stream(const char*) {}
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    bool empty() const { return next_ == items_.size(); }
    std::size_t size() const { return items_.size() - next_; }

    void write(const T& item) { items_.push_back(item); }

    T read() {
        if (empty()) {
            std::fprintf(stderr, "a stream is read and is empty\n");
            std::abort();
        }
        T item = items_[next_];
        ++next_;
        if (next_ == items_.size()) {
            items_.clear();
            next_ = 0;
        }
        return item;
    }

    bool read_nb(T& item) {
        if (empty()) return false;
        item = read();
        return true;
    }

  private:
    std::vector<T> items_;
    std::size_t next_ = 0;
};

}  // namespace hls

#endif
