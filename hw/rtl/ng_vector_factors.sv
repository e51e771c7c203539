// The factors of a LAYERNORM, one lane after the other, one lane per cycle, from the sums in STAT.
//
// With start_i, the sums and the size must be valid, and stay until the last lane. set_o tells a lane that factors_o is
// for it: lane j 6 + j cycles after start_i.
// Limits: start_i again only after the last lane.
//
// Both products are made of products that fit one DSP each, with registers before and behind.
module ng_vector_factors #(
  parameter int unsigned Lanes = 8
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    busy_i,   // 1 from start_i to the last lane; the clock enable
  input  logic                    start_i,
  input  logic [10:0]             size_i,
  input  logic [Lanes-1:0][ng_isa_pkg::StatSumBits-1:0]    sum_i,
  input  logic [Lanes-1:0][ng_isa_pkg::StatSquareBits-1:0] square_i,
  output logic [Lanes-1:0]        set_o,
  output ng_pkg::factors_t        factors_o
);
  import ng_isa_pkg::*;
  import ng_pkg::*;
  localparam int unsigned LaneBits = $clog2(Lanes);
  localparam int unsigned LessBits = StatSumBits + 1;
  // Bits of the variance V = D * S2 - S1 * S1.
  localparam int unsigned VBits = 50;

  // Kept apart from the enables of other modules, so that its loads stay few.
  (* keep = "true" *) logic enable_q;
  logic [LaneBits-1:0] lane_q;
  logic [5:1] valid_q;
  logic [Lanes-1:0] set_q;
  assign set_o = set_q;
  always_ff @(posedge clk_i) begin
    enable_q <= busy_i;
    valid_q  <= {valid_q[4:1], start_i};
    set_q    <= {set_q[Lanes-2:0], valid_q[5]};
    if (start_i || lane_q != 0) lane_q <= lane_q + 1'b1;
    if (!rst_ni) begin
      lane_q  <= '0;
      valid_q <= '0;
      set_q   <= '0;
    end
  end

  // Stage 1: sums of the lane; 2: products; 3: D * S2 and S1 * S1; 4: difference; 5: its leading zeros; 6: factors.
  logic signed [StatSumBits-1:0] sum_q;
  logic [StatSquareBits-1:0] square_q;
  logic [34:0] low_q;
  logic [27:0] high_q;
  logic signed [25:0] mixed_q;
  logic [25:0] upper_q, lower_q;
  logic [VBits-1:0] scaled_q, squared_q, v4_q, v5_q;
  // Pairs of leading zeros: t + 9.
  logic [4:0] zeros, zeros_q;
  logic signed [LessBits-1:0] less_q[2:5];
  factors_t factors_q;
  assign factors_o = factors_q;
  always_comb begin
    zeros = 5'd25;
    for (int unsigned n = 0; n < 25; n++) if (v4_q[2*n+:2] != 0) zeros = 5'(24 - n);
  end
  always_ff @(posedge clk_i) if (enable_q) begin
    sum_q     <= $signed(sum_i[lane_q]);
    square_q  <= square_i[lane_q];
    low_q     <= 35'(size_i) * 35'(square_q[23:0]);
    high_q    <= 28'(size_i) * 28'(square_q[40:24]);
    // S1 = h * 2^13 + l; its square is h * h * 2^26 + l * l + h * l * 2^14.
    upper_q   <= 26'($signed(sum_q[25:13])) * 26'($signed(sum_q[25:13]));
    lower_q   <= 26'(sum_q[12:0]) * 26'(sum_q[12:0]);
    mixed_q   <= 26'($signed(sum_q[25:13])) * $signed(26'(sum_q[12:0]));
    scaled_q  <= VBits'({high_q, 24'd0}) + VBits'(low_q);
    squared_q <= VBits'({upper_q, lower_q}) + {36'(mixed_q), 14'd0};
    v4_q      <= scaled_q - squared_q;
    v5_q      <= v4_q;
    zeros_q   <= zeros;
    less_q[2] <= -LessBits'(sum_q);
    for (int n = 3; n <= 5; n++) less_q[n] <= less_q[n-1];
    // A difference d is shifted left by t + 9. D and the sum are shifted by the low 3 bits of that in advance; whole
    // bytes remain. It is -D that is kept, as -2^17 has 18 bits and 2^17 has 19. A difference has at most 27 bits, as D
    // is at most 1024; of the shifted difference, 31 bits count.
    factors_q.radicand <= 32'((v5_q << {zeros_q, 1'b0}) >> 18);
    factors_q.times    <= -18'(size_i) << zeros_q[2:0];
    factors_q.less     <= 31'(less_q[5]) << zeros_q[2:0];
    factors_q.bytes    <= zeros_q[4:3];
    factors_q.zero     <= zeros_q == 5'd25;
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) start_i |-> lane_q == 0 && set_q == 0)
  else $error("ng_vector_factors: start_i before the last lane");
  assert property (@(posedge clk_i) disable iff (!rst_ni) start_i || valid_q != 0 || lane_q != 0 |-> enable_q)
  else $error("ng_vector_factors: without its clock enable");
`endif
endmodule
