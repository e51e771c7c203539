// The beat of an AXI4-Stream, for C simulation where there is no Vitis HLS: data, keep, strb and last.
#ifndef NG_CSIM_AP_AXI_SDATA_H
#define NG_CSIM_AP_AXI_SDATA_H

#include "ap_int.h"

/// \tparam D bits of data.
/// \tparam U, I, T bits of the side channels user, id and dest: not modelled, 0.
template <int D, int U, int I, int T>
struct ap_axiu {
    static_assert(U == 0 && I == 0 && T == 0, "side channels are not modelled");
    ap_uint<D> data;
    ap_uint<D / 8> keep;
    ap_uint<D / 8> strb;
    ap_uint<1> last;
};

#endif
