// The N x N multipliers and accumulators, and the copy of a finished tile from which the drain selects words.
//
// Takes one operand pair per cycle, two cycles after its read was granted, and adds the products. Signals that a tile
// is full. When the drain takes the tile it is copied, while the sums of the next tile are already accumulated. Outputs
// a row or a column of the copy.
// Limits: a full tile that is not taken in time is overwritten; room_o of ng_drain prevents that.
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
  input  logic                        op_valid_i,  // in the cycle of the read; the words arrive two cycles later
  input  ng_pkg::op_t                 op_i,
  input  logic [Lanes-1:0][7:0]       weight_a_i,
  input  logic [Lanes-1:0][7:0]       weight_b_i,
  input  logic [Lanes-1:0][7:0]       kv_i,
  input  logic [Lanes-1:0][7:0]       act_i,
  input  logic [Lanes-1:0][7:0]       vector_i,
  output logic                        full_o,      // a tile is complete and not taken
  input  logic                        take_i,
  input  logic                        columns_i,
  input  logic [$clog2(Lanes)-1:0]    select_i,    // from the copy, in this cycle
  output logic [Lanes-1:0][31:0]      word_o       // one cycle after select_i
);
  import ng_isa_pkg::*;
  import ng_pkg::*;
  localparam int unsigned LaneBits = $clog2(Lanes);

  if (LutColumns > Lanes) begin : gen_check
    $error("ng_array: LutColumns must be at most Lanes");
  end

  // Fields of an operand pair that the later stages need.
  logic [3:1] valid_q, fresh_q;
  logic [5:1] ends_q;
  logic reads1_q, reads2_q, unsigned1_q, unsigned2_q;
  space_e a1_q, a2_q, b1_q, b2_q;
  logic [12:0] k1_q, k2_q;

  logic [Lanes-1:0][7:0] a;
  logic [Lanes-1:0][8:0] b, b_q;
  logic waiting_q, clear_q;

  assign full_o = waiting_q || ends_q[5];

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
    fresh_q     <= {fresh_q[2:1], op_i.fresh};
    if (!rst_ni) begin
      valid_q   <= '0;
      ends_q    <= '0;
      waiting_q <= 1'b0;
    end else begin
      valid_q   <= {valid_q[2:1], op_valid_i};
      ends_q    <= {ends_q[4:1], op_valid_i && op_i.tile_ends};
      waiting_q <= full_o && !take_i;
    end
  end

  // Operands, two cycles after the grant.
  always_comb begin
    for (int unsigned lane = 0; lane < Lanes; lane++) begin
      unique case (a2_q)
        SpaceWeight: a[lane] = weight_a_i[lane];
        SpaceKv:     a[lane] = kv_i[lane];
        default:     a[lane] = k2_q == 13'(lane) ? 8'd1 : 8'd0;
      endcase
      unique case (b2_q)
        SpaceWeight: b[lane] = {weight_b_i[lane][7] && !unsigned2_q, weight_b_i[lane]};
        SpaceVector: b[lane] = {vector_i[lane][7] && !unsigned2_q, vector_i[lane]};
        default:     b[lane] = {act_i[lane][7] && !unsigned2_q, act_i[lane]};
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
    b_q <= b;
    if (!reads2_q) begin
      a_q      <= '{default: '0};
      pair_q   <= '{default: '0};
      triple_q <= '{default: '0};
      b_q      <= '0;
    end
    clear_q <= valid_q[3] && fresh_q[3];
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
  // columns, if synthesis keeps the structure: four numbers per LUT.
  logic [31:0] copy_q[Lanes][Lanes];
  (* keep *) logic [Lanes-1:0][Lanes/4-1:0][31:0] four;
  (* keep *) logic [Lanes-1:0][31:0] given;
  logic [Lanes-1:0][31:0] swapped[LaneBits+1];
  logic [Lanes-1:0][31:0] word_q;
  always_ff @(posedge clk_i) begin
    for (int unsigned row = 0; row < Lanes; row++) begin
      for (int unsigned bank = 0; bank < Lanes; bank++) begin
        if (take_i) copy_q[bank][row] <= sum[row^bank][row];
      end
    end
    word_q <= swapped[LaneBits];
  end
  assign word_o = word_q;
  for (genvar bank = 0; bank < Lanes; bank++) begin : gen_bank
    logic [LaneBits-1:0] row;
    assign row = select_i ^ (columns_i ? LaneBits'(bank) : '0);
    for (genvar n = 0; n < Lanes / 4; n++) begin : gen_four
      assign four[bank][n] = row[1] ? row[0] ? copy_q[bank][4*n+3] : copy_q[bank][4*n+2]
                                    : row[0] ? copy_q[bank][4*n+1] : copy_q[bank][4*n];
    end
    assign given[bank] = four[bank][row[LaneBits-1:2]];
  end
  assign swapped[0] = given;
  for (genvar n = 0; n < LaneBits; n++) begin : gen_swap
    for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
      assign swapped[n+1][lane] = select_i[n] ? swapped[n][lane^(1<<n)] : swapped[n][lane];
    end
  end
endmodule
