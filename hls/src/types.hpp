// Integers of a stated width, and the only functions that drop bits.
//
// Signed<W> and Unsigned<W> are `ap_int` and `ap_uint` for synthesis. With -DNG_NATIVE_TYPES they are the narrowest
// native integers that hold W bits: C simulation is then many times faster and needs no vendor headers. A value is
// always in the range of its W, and every operation that can leave the range goes through a function of this file
// that defines the result, so both kinds of types give the same integers.
// Limits: does not saturate or round (rounding.hpp does).
#ifndef NG_TYPES_HPP
#define NG_TYPES_HPP

#include <cstdint>
#include <type_traits>

#ifdef NG_NATIVE_TYPES
#include "hls_stream.h"
#else
#include "ap_int.h"
#include "ap_axi_sdata.h"
#include "hls_stream.h"
#endif

namespace ng {

#ifdef NG_NATIVE_TYPES

namespace native {
template <int W>
using Wide = std::conditional_t<(W > 32), std::int64_t, std::int32_t>;
template <int W>
using Integer = std::conditional_t<(W > 16), Wide<W>, std::conditional_t<(W > 8), std::int16_t, std::int8_t>>;
/// The unsigned type in which results of W bits are computed: at least 32 bits, so that nothing is promoted to int.
template <int W>
using Work = std::make_unsigned_t<Wide<W>>;
}  // namespace native

/// Two's complement of W bits, 1 to 64.
template <int W>
using Signed = native::Integer<W>;
/// 0 .. 2^W - 1, W from 1 to 64.
template <int W>
using Unsigned = std::make_unsigned_t<native::Integer<W>>;

/// The low W bits of x as a two's complement number.
template <int W, class T>
inline Signed<W> wrap(T x) {
    using Work = native::Work<W>;
    constexpr int rest = static_cast<int>(8 * sizeof(Work)) - W;
    return static_cast<Signed<W>>(static_cast<std::make_signed_t<Work>>(static_cast<Work>(x) << rest) >> rest);
}

/// The low W bits of x as an unsigned number.
template <int W, class T>
inline Unsigned<W> low(T x) {
    using Work = native::Work<W>;
    constexpr int rest = static_cast<int>(8 * sizeof(Work)) - W;
    return static_cast<Unsigned<W>>(static_cast<Work>(static_cast<Work>(x) << rest) >> rest);
}

/// a * b modulo 2^W, signed.
template <int W, class A, class B>
inline Signed<W> times(A a, B b) {
    using Work = native::Work<W>;
    return wrap<W>(static_cast<Work>(a) * static_cast<Work>(b));
}

/// a * b modulo 2^W, unsigned.
template <int W, class A, class B>
inline Unsigned<W> utimes(A a, B b) {
    using Work = native::Work<W>;
    return low<W>(static_cast<Work>(a) * static_cast<Work>(b));
}

/// a + b modulo 2^W, signed.
template <int W, class A, class B>
inline Signed<W> plus(A a, B b) {
    using Work = native::Work<W>;
    return wrap<W>(static_cast<Work>(a) + static_cast<Work>(b));
}

/// a + b modulo 2^W, unsigned.
template <int W, class A, class B>
inline Unsigned<W> uplus(A a, B b) {
    using Work = native::Work<W>;
    return low<W>(static_cast<Work>(a) + static_cast<Work>(b));
}

/// a - b modulo 2^W, signed.
template <int W, class A, class B>
inline Signed<W> minus(A a, B b) {
    using Work = native::Work<W>;
    return wrap<W>(static_cast<Work>(a) - static_cast<Work>(b));
}

/// a - b modulo 2^W, unsigned.
template <int W, class A, class B>
inline Unsigned<W> uminus(A a, B b) {
    using Work = native::Work<W>;
    return low<W>(static_cast<Work>(a) - static_cast<Work>(b));
}

/// a << n modulo 2^W, signed; n below the width of a machine word (W <= 32: 32, else 64).
template <int W, class A, class S>
inline Signed<W> shift_left(A a, S n) {
    return wrap<W>(static_cast<native::Work<W>>(a) << n);
}

/// a << n modulo 2^W, unsigned.
template <int W, class A, class S>
inline Unsigned<W> ushift_left(A a, S n) {
    return low<W>(static_cast<native::Work<W>>(a) << n);
}

/// A value as a plain int, for array subscripts and loop bounds; it must fit.
template <class T>
inline int to_int(T x) {
    return static_cast<int>(x);
}

/// A beat of the input or the output stream.
struct Beat {
    Unsigned<64> data;
    Unsigned<8> keep;
    Unsigned<8> strb;
    Unsigned<1> last;
};

#else

/// Two's complement of W bits, 1 to 64.
template <int W>
using Signed = ap_int<W>;
/// 0 .. 2^W - 1, W from 1 to 64.
template <int W>
using Unsigned = ap_uint<W>;

/// The low W bits of x as a two's complement number.
template <int W, class T>
inline Signed<W> wrap(T x) {
    return Signed<W>(x);
}

/// The low W bits of x as an unsigned number.
template <int W, class T>
inline Unsigned<W> low(T x) {
    return Unsigned<W>(x);
}

/// a * b modulo 2^W, signed.
template <int W, class A, class B>
inline Signed<W> times(A a, B b) {
    return Signed<W>(a * b);
}

/// a * b modulo 2^W, unsigned.
template <int W, class A, class B>
inline Unsigned<W> utimes(A a, B b) {
    return Unsigned<W>(a * b);
}

/// a + b modulo 2^W, signed.
template <int W, class A, class B>
inline Signed<W> plus(A a, B b) {
    return Signed<W>(a + b);
}

/// a + b modulo 2^W, unsigned.
template <int W, class A, class B>
inline Unsigned<W> uplus(A a, B b) {
    return Unsigned<W>(a + b);
}

/// a - b modulo 2^W, signed.
template <int W, class A, class B>
inline Signed<W> minus(A a, B b) {
    return Signed<W>(a - b);
}

/// a - b modulo 2^W, unsigned.
template <int W, class A, class B>
inline Unsigned<W> uminus(A a, B b) {
    return Unsigned<W>(a - b);
}

/// a << n modulo 2^W, signed; n below the width of a machine word (W <= 32: 32, else 64).
template <int W, class A, class S>
inline Signed<W> shift_left(A a, S n) {
    return Signed<W>(a) << n;
}

/// a << n modulo 2^W, unsigned.
template <int W, class A, class S>
inline Unsigned<W> ushift_left(A a, S n) {
    return Unsigned<W>(a) << n;
}

/// A value as a plain int, for array subscripts and loop bounds; it must fit.
template <class T>
inline int to_int(T x) {
    return static_cast<int>(x);
}

/// A beat of the input or the output stream.
using Beat = ap_axiu<64, 0, 0, 0>;

#endif

}  // namespace ng

#endif
