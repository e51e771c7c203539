// Rounding and saturation, the same as in all other levels: docs/isa.md, section 4.
//
// shift_round and saturate on 32-bit sums.
// Limits: does not choose shifts; they come from the program.
#ifndef NG_ROUNDING_HPP
#define NG_ROUNDING_HPP

#include "types.hpp"

namespace ng {

/// floor(v * 2^-shift + 1/2) with the sum modulo 2^32; a left shift, modulo 2^32, if `shift` is negative.
inline Signed<32> shift_round(Signed<32> v, Signed<6> shift) {
#pragma HLS inline  // part of its caller's pipeline
    const int right = to_int(shift);
    if (right <= 0) return shift_left<32>(v, -right);
    return wrap<32>(plus<32>(v, shift_left<32>(Signed<2>(1), right - 1)) >> right);
}

/// v clipped to the range of a width, 2 to 18 bits signed or 2 to 16 bits unsigned.
inline Signed<18> saturate(Signed<32> v, Unsigned<5> bits, bool is_unsigned) {
#pragma HLS inline
    const int magnitude = is_unsigned ? to_int(bits) : to_int(bits) - 1;
    // At 18 bits the power of two wraps to the smallest number; subtracting 1 still gives the largest.
    const Signed<18> high = minus<18>(shift_left<18>(Signed<2>(1), magnitude), Signed<2>(1));
    const Signed<18> lowest = is_unsigned ? Signed<18>(0) : minus<18>(Signed<18>(-1), high);
    return v > high ? high : v < lowest ? lowest : wrap<18>(v);
}

}  // namespace ng

#endif
