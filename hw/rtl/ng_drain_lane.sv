// One lane of the drain: from a selected sum to the written number, and the statistics of the lane.
//
// Adds the bias; shifts the sum and the residual to the left; adds them; shifts to the right; saturates; looks up;
// accumulates what was written.
// Limits: the control inputs are those of ng_drain at the stage that is named; a lane decides nothing.
module ng_drain_lane (
  input  logic                                  clk_i,
  input  logic                                  rst_ni,
  // Stage 2: whether the bias of the lane changes. Stage 3: which of two is the new one.
  input  logic                                  load_i,
  input  logic                                  from_i,
  input  logic [1:0][31:0]                      lane_biases_i,
  // Stage 4: the sum, its bias and its residual.
  input  logic [31:0]                           word_i,
  input  logic                                  bias_i,         // there is a bias
  input  logic                                  columns_i,      // it is that of the lane, not that of the word
  input  logic [31:0]                           word_bias_i,
  input  ng_isa_pkg::space_e                    residual_space_i,
  input  logic [7:0]                            weight_i,
  input  logic [7:0]                            vector_i,
  input  logic [15:0]                           wide_i,
  // Stage 5: left shifts, and the rounding constant.
  input  logic [5:0]                            acc_shift_i,    // 32 and more give 0
  input  logic [4:0]                            residual_shift_i,
  input  logic [31:0]                           half_i,
  // Stage 6: the right shift.
  input  logic [4:0]                            shift_i,
  // Stage 7: saturation.
  input  logic [15:0]                           above_i,        // saturation_mask
  input  logic                                  is_unsigned_i,
  // Stage 8: look up.
  output logic [7:0]                            index_o,
  // Stage of the write.
  input  logic [7:0]                            table_i,
  input  logic                                  has_table_i,
  input  logic                                  is_wide_i,      // 16 bits are written, not 8
  input  logic                                  valid_i,
  output logic [15:0]                           before_o,       // before the table
  output logic [15:0]                           written_o,
  // Two and three stages later: statistics.
  input  logic                                  counts_i,       // there is a word
  input  logic                                  restarts_i,     // the statistics of an instruction are complete
  output logic [ng_isa_pkg::StatSumBits-1:0]    sum_o,
  output logic [ng_isa_pkg::StatSquareBits-1:0] square_o,
  output logic [ng_isa_pkg::StatMaxBits-1:0]    max_o
);
  import ng_isa_pkg::*;
  import ng_pkg::*;

  // A clock enable of each lane, as one for all would have too many loads.
  (* keep = "true" *) logic load_q;
  logic [31:0] lane_bias_q;
  always_ff @(posedge clk_i) begin
    load_q <= load_i;
    if (load_q) lane_bias_q <= lane_biases_i[from_i];
  end

  logic [31:0] bias, v5_q, v6_q, r6_q, v7_q;
  logic signed [15:0] residual, r5_q;
  logic [15:0] q_q[8:8+LookupLatency];
  assign bias = !bias_i ? '0 : columns_i ? lane_bias_q : word_bias_i;
  always_comb begin
    unique case (residual_space_i)
      SpaceWeight: residual = 16'(signed'(weight_i));
      SpaceVector: residual = 16'(signed'(vector_i));
      SpaceWide:   residual = wide_i;
      default:     residual = '0;
    endcase
  end
  always_ff @(posedge clk_i) begin
    v5_q   <= word_i + bias;
    r5_q   <= residual;
    v6_q   <= acc_shift_i[5] ? '0 : v5_q << acc_shift_i[4:0];
    r6_q   <= (32'(r5_q) << residual_shift_i) + half_i;
    v7_q   <= signed'(v6_q + r6_q) >>> shift_i;
    q_q[8] <= saturated(v7_q, above_i, is_unsigned_i);
    for (int unsigned n = 9; n <= 8 + LookupLatency; n++) q_q[n] <= q_q[n-1];
  end
  assign index_o  = q_q[8][7:0];
  assign before_o = q_q[8+LookupLatency];

  logic [15:0] looked_up;
  logic signed [15:0] written;
  assign looked_up = has_table_i ? 16'(signed'(table_i)) : before_o;
  assign written   = is_wide_i ? looked_up : 16'(signed'(looked_up[7:0]));
  assign written_o = written;

  // Statistics. Multiplier, adder and the three registers of the squares are one DSP.
  logic signed [15:0] written_q[1:2];
  logic signed [31:0] product_q;
  logic signed [StatSumBits-1:0] sum_q;
  logic signed [StatSquareBits-1:0] square_q;
  logic signed [StatMaxBits-1:0] max_q;
  always_ff @(posedge clk_i) begin
    written_q[1] <= !rst_ni || !valid_i ? '0 : written;
    written_q[2] <= written_q[1];
    product_q    <= 32'(written_q[1]) * 32'(written_q[1]);
    sum_q        <= StatSumBits'(written_q[2]) + (restarts_i ? '0 : sum_q);
    square_q     <= StatSquareBits'(product_q) + (restarts_i ? '0 : square_q);
    if (counts_i && (restarts_i || max_q < $signed(written_q[2][7:0]))) max_q <= written_q[2][7:0];
    else if (restarts_i) max_q <= 8'sh80;
    if (!rst_ni) begin
      sum_q    <= '0;
      square_q <= '0;
      max_q    <= 8'sh80;
    end
  end
  assign sum_o    = sum_q;
  assign square_o = square_q;
  assign max_o    = max_q;
endmodule
