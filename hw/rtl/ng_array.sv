// The N x N multipliers and accumulators, and the copy of a finished tile from which the drain selects words.
//
// Takes one operand pair per cycle, WordLatency cycles after its read was granted, and adds the products: the sums are
// complete SumLatency cycles after the read. When the drain takes the tile it is copied, while the sums of the next tile
// are already accumulated. Outputs a row or a column of the copy.
// Limits: the drain knows when a tile is complete. A tile that is not taken in time is overwritten; room_o of ng_drain
// prevents that.
//
// Accumulators add in every cycle (zero operands where there are none) and restart where their feedback is cleared
// (ng_mac). How the products are computed changes no integer and no cycle:
//   - by default, multiplier, accumulator and their registers are one DSP for each of the N x N;
//   - with PackDsp, one DSP multiplies for two rows, and the sums are in LUTs;
//   - the last LutColumns columns use no DSP at all.
module ng_array #(
  parameter int unsigned Lanes      = 8,
  parameter bit          PackDsp    = 1'b0,
  parameter int unsigned LutColumns = 0
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        op_valid_i,  // in the cycle of the read; the words arrive WordLatency cycles later
  input  ng_pkg::op_t                 op_i,
  input  logic [Lanes-1:0][7:0]       weight_a_i,
  input  logic [Lanes-1:0][7:0]       weight_b_i,
  input  logic [Lanes-1:0][7:0]       kv_i,
  input  logic [Lanes-1:0][7:0]       act_i,
  input  logic [Lanes-1:0][7:0]       vector_i,
  input  logic                        take_i,      // copies in the next cycle
  input  logic                        columns_i,
  input  logic [$clog2(Lanes)-1:0]    select_i,    // from the copy of the next cycle
  output logic [Lanes-1:0][31:0]      word_o       // two cycles after select_i
);
  import ng_isa_pkg::*;
  import ng_pkg::*;
  localparam int unsigned LaneBits = $clog2(Lanes);

  if (LutColumns > Lanes) begin : gen_check
    $error("ng_array: LutColumns must be at most Lanes");
  end
  if (Lanes > 32) begin : gen_check_lanes
    $error("ng_array: Lanes must be at most 32");
  end

  // Fields of an operand pair that the later stages need, until its words arrive.
  typedef struct packed {
    logic   reads;
    logic   fresh;
    logic   is_unsigned;
    space_e a;
    space_e b;
  } pair_t;
  pair_t pair_at[WordLatency+1];
  pair_t now;
  logic [WordLatency-1:1][12:0] k_q;
  logic [Lanes-1:0] one_q;  // the operand of IDENTITY
  always_comb begin
    pair_at[0].reads       = op_valid_i && op_i.reads;
    pair_at[0].fresh       = op_valid_i && op_i.fresh;
    pair_at[0].is_unsigned = op_i.b_unsigned;
    pair_at[0].a           = op_i.a_space;
    pair_at[0].b           = op_i.b_space;
  end
  for (genvar n = 1; n <= WordLatency; n++) begin : gen_pair
    pair_t at_q;
    always_ff @(posedge clk_i) at_q <= pair_at[n-1];
    assign pair_at[n] = at_q;
  end
  assign now = pair_at[WordLatency];

  // Operands.
  logic [Lanes-1:0][7:0] a;
  logic [Lanes-1:0][8:0] b, b_q;
  logic clear_q;
  always_ff @(posedge clk_i) begin
    k_q[1] <= op_i.k;
    for (int unsigned n = 2; n < WordLatency; n++) k_q[n] <= k_q[n-1];
    for (int unsigned lane = 0; lane < Lanes; lane++) one_q[lane] <= k_q[WordLatency-1] == 13'(lane);
  end
  always_comb begin
    for (int unsigned lane = 0; lane < Lanes; lane++) begin
      unique case (now.a)
        SpaceWeight: a[lane] = weight_a_i[lane];
        SpaceKv:     a[lane] = kv_i[lane];
        default:     a[lane] = {7'd0, one_q[lane]};
      endcase
      unique case (now.b)
        SpaceWeight: b[lane] = {weight_b_i[lane][7] && !now.is_unsigned, weight_b_i[lane]};
        SpaceVector: b[lane] = {vector_i[lane][7] && !now.is_unsigned, vector_i[lane]};
        default:     b[lane] = {act_i[lane][7] && !now.is_unsigned, act_i[lane]};
      endcase
    end
  end
  // The operand forms that the ways to multiply need; unused forms are removed in synthesis.
  logic signed [7:0] a_q[Lanes];
  logic signed [24:0] pair_q[Lanes/2];
  logic signed [9:0] triple_q[Lanes];
  always_ff @(posedge clk_i) begin
    for (int unsigned row = 0; row < Lanes; row++) begin
      a_q[row]      <= a[row];
      triple_q[row] <= 10'(signed'(a[row])) + (10'(signed'(a[row])) <<< 1);
    end
    for (int unsigned p = 0; p < Lanes / 2; p++) begin
      pair_q[p] <= (25'(signed'(a[2*p+1])) <<< 16) + 25'(signed'(a[2*p]));
    end
    // Without a pair of words, every product is 0.
    b_q     <= now.reads ? b : '0;
    clear_q <= now.fresh;
  end

  // Products and sums.
  logic signed [31:0] sum[Lanes][Lanes];  // column, row
  for (genvar j = 0; j < Lanes; j++) begin : gen_column
    ng_mac #(
      .Lanes(Lanes),
      .Pack (PackDsp),
      .Luts (j >= Lanes - LutColumns)
    ) u_mac (
      .clk_i,
      .clear_i (clear_q),
      .a_i     (a_q),
      .pair_i  (pair_q),
      .triple_i(triple_q),
      .b_i     (b_q[j]),
      .sum_o   (sum[j])
    );
  end

  // The copy. Row r, column c is in bank r ^ c, so a row has one number in every bank, and so has a column. Each bank
  // outputs its number, and the swaps restore the order. This takes half the LUTs of selecting among all rows and all
  // columns, if synthesis keeps the structure.
  localparam int unsigned Rows = Lanes < 16 ? Lanes : 16;
  (* keep = "true" *) logic [Lanes-1:0][31:0] given;
  logic [Lanes-1:0][31:0] swapped[LaneBits+1];
  logic [Lanes-1:0][31:0] word_q;
  logic [LaneBits-1:0] select_q;
  always_ff @(posedge clk_i) begin
    select_q <= select_i;
    word_q   <= swapped[LaneBits];
  end
  assign word_o = word_q;
  for (genvar bank = 0; bank < Lanes; bank++) begin : gen_bank
    logic [Lanes-1:0][31:0] numbers;
    always_comb begin
      for (int unsigned n = 0; n < Lanes; n++) numbers[n] = sum[n^bank][n];
    end
    logic [LaneBits-1:0] row;
    logic [Lanes/Rows-1:0][31:0] number;
    assign row = select_i ^ (columns_i ? LaneBits'(bank) : '0);
    for (genvar part = 0; part < Lanes / Rows; part++) begin : gen_part
      ng_bank #(
        .Rows(Rows)
      ) u_bank (
        .clk_i,
        .take_i,
        .number_i(numbers[part*Rows+:Rows]),
        .row_i   (row[$clog2(Rows)-1:0]),
        .number_o(number[part])
      );
    end
    if (Rows == Lanes) begin : gen_one
      assign given[bank] = number[0];
    end else begin : gen_two
      logic upper_q;
      always_ff @(posedge clk_i) upper_q <= row[LaneBits-1];
      assign given[bank] = number[upper_q];
    end
  end
  assign swapped[0] = given;
  for (genvar n = 0; n < LaneBits; n++) begin : gen_swap
    for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
      assign swapped[n+1][lane] = select_q[n] ? swapped[n][lane^(1<<n)] : swapped[n][lane];
    end
  end

`ifndef SYNTHESIS
  // Whether a tile is complete and not copied, and whether a sum changes at the end of the cycle.
  logic [SumLatency:1] valid_q, ends_q;
  logic waiting_q, copies_q;
  always_ff @(posedge clk_i) begin
    valid_q   <= rst_ni ? {valid_q[SumLatency-1:1], op_valid_i} : '0;
    ends_q    <= rst_ni ? {ends_q[SumLatency-1:1], op_valid_i && op_i.tile_ends} : '0;
    copies_q  <= rst_ni && take_i;
    waiting_q <= rst_ni && (waiting_q || ends_q[SumLatency]) && !copies_q;
  end
  assert property (@(posedge clk_i) disable iff (!rst_ni) copies_q |-> waiting_q || ends_q[SumLatency])
  else $error("ng_array: a tile is copied that is not complete");
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   valid_q[SumLatency-1] && (waiting_q || ends_q[SumLatency]) |-> copies_q)
  else $error("ng_array: a tile is overwritten that was not copied");
`endif
endmodule
