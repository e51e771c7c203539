// The N x N multipliers and accumulators, and the copy of a finished tile that the drain selects words of.
//
// What this does: takes an operand pair a cycle, two cycles after its read was granted; adds products; says that a
// tile is full; copies it when the drain takes it, while the next tile is already summed; gives a row or a column of
// the copy. What it does not: protect a full tile that was not taken: ng_drain's room_o sees to that.
//
// An accumulator adds in every cycle (zero operands where there are none) and starts anew where its feedback is
// cleared: product, sum and both registers are one DSP.
module ng_array #(
  parameter int unsigned Lanes = 8
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        op_valid_i,  // in the cycle of the read; the words come two cycles later
  input  ng_pkg::op_t                 op_i,
  input  logic [Lanes-1:0][7:0]       weight_a_i,
  input  logic [Lanes-1:0][7:0]       weight_b_i,
  input  logic [Lanes-1:0][7:0]       kv_i,
  input  logic [Lanes-1:0][7:0]       act_i,
  input  logic [Lanes-1:0][7:0]       vector_i,
  output logic                        full_o,      // a tile waits to be taken
  input  logic                        take_i,
  input  logic                        columns_i,
  input  logic [$clog2(Lanes)-1:0]    select_i,    // of the copy as it is in this cycle
  output logic [Lanes-1:0][31:0]      word_o       // the cycle after
);
  import ng_isa_pkg::*;
  import ng_pkg::*;

  // What the later stages need of an operand pair.
  logic [4:1] valid_q, fresh_q;
  logic [5:1] ends_q;
  logic reads1_q, reads2_q, unsigned1_q, unsigned2_q;
  space_e a1_q, a2_q, b1_q, b2_q;
  logic [12:0] k1_q, k2_q;

  logic signed [7:0] a_q[Lanes];
  logic signed [8:0] b_q[Lanes];
  logic signed [16:0] product_q[Lanes][Lanes];
  logic signed [31:0] sum_q[Lanes][Lanes];
  logic signed [31:0] copy_q[Lanes][Lanes];
  logic [Lanes-1:0][31:0] word_q;
  logic waiting_q;

  assign full_o = waiting_q || ends_q[5];
  assign word_o = word_q;

  always_ff @(posedge clk_i) begin
    reads1_q    <= op_valid_i && op_i.reads;
    unsigned1_q <= op_i.b_unsigned;
    a1_q        <= op_i.a_space;
    b1_q        <= op_i.b_space;
    k1_q        <= op_i.k;
    reads2_q    <= reads1_q;
    unsigned2_q <= unsigned1_q;
    a2_q        <= a1_q;
    b2_q        <= b1_q;
    k2_q        <= k1_q;
    fresh_q     <= {fresh_q[3:1], op_i.fresh};
    if (!rst_ni) begin
      valid_q   <= '0;
      ends_q    <= '0;
      waiting_q <= 1'b0;
    end else begin
      valid_q   <= {valid_q[3:1], op_valid_i};
      ends_q    <= {ends_q[4:1], op_valid_i && op_i.tile_ends};
      waiting_q <= full_o && !take_i;
    end
  end

  // Operands: two cycles after the grant.
  always_ff @(posedge clk_i) begin
    for (int unsigned lane = 0; lane < Lanes; lane++) begin
      unique case (a2_q)
        SpaceWeight: a_q[lane] <= weight_a_i[lane];
        SpaceKv:     a_q[lane] <= kv_i[lane];
        default:     a_q[lane] <= k2_q == 13'(lane) ? 8'sd1 : 8'sd0;
      endcase
      unique case (b2_q)
        SpaceWeight: b_q[lane] <= {weight_b_i[lane][7] && !unsigned2_q, weight_b_i[lane]};
        SpaceVector: b_q[lane] <= {vector_i[lane][7] && !unsigned2_q, vector_i[lane]};
        default:     b_q[lane] <= {act_i[lane][7] && !unsigned2_q, act_i[lane]};
      endcase
      if (!reads2_q) begin
        a_q[lane] <= '0;
        b_q[lane] <= '0;
      end
    end
  end

  // Products and sums.
  logic clear;
  assign clear = valid_q[4] && fresh_q[4];
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Lanes; i++) begin
      for (int unsigned j = 0; j < Lanes; j++) begin
        product_q[i][j] <= 17'(a_q[i]) * 17'(b_q[j]);
        sum_q[i][j]     <= (clear ? 32'sd0 : sum_q[i][j]) + 32'(product_q[i][j]);
      end
    end
  end

  // The copy, and a word of it.
  always_ff @(posedge clk_i) begin
    if (take_i) begin
      for (int unsigned i = 0; i < Lanes; i++) begin
        for (int unsigned j = 0; j < Lanes; j++) copy_q[i][j] <= sum_q[i][j];
      end
    end
    for (int unsigned lane = 0; lane < Lanes; lane++) begin
      word_q[lane] <= columns_i ? copy_q[lane][select_i] : copy_q[select_i][lane];
    end
  end
endmodule
